//! The command `test-alert`: sends a sample alert to every sink and prints the results.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use traffic_alerted::alert::{DeliveryTest, SinkOptions};
use traffic_alerted::config::Config;
use traffic_alerted::privileges::{self, Identity};

use super::command_helper;

/// The arguments of `test-alert`.
#[derive(Debug, Args)]
pub(super) struct TestAlertArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

impl TestAlertArgs {
    /// Drops privileges as the monitor does, then sends a sample to every sink and prints each result.
    ///
    /// # Errors
    /// The configuration is wrong, the system refuses a thread, or a sink did not deliver the sample.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let helper = command_helper::start(&config, &Identity::unchanged())?;
        let prefix = super::start_log(&config)?;
        privileges::drop_all()?;
        if let Some(helper) = &helper {
            helper.start_log()?;
        }
        let tests = SinkOptions { helper, ..config.sink_options() }
            .try_out(io::stderr(), prefix)
            .context("cannot start the threads of the sinks: raise the limits on tasks and open files")?;
        let mut out = io::stdout().lock();
        for DeliveryTest { sink, outcome, caveat } in &tests {
            match outcome {
                Ok(took) => {
                    let caveat = caveat.map_or_else(String::new, |caveat| format!(" ({caveat})"));
                    writeln!(out, "{sink}: delivered in {} ms{caveat}", took.as_millis())?;
                }
                Err(why) => writeln!(out, "{sink}: failed: {why}")?,
            }
        }
        let failed = tests.iter().filter(|test| test.outcome.is_err()).count();
        anyhow::ensure!(failed == 0, "the sample did not arrive at {failed} of {} places", tests.len());
        Ok(())
    }
}
