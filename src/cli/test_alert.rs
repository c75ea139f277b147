//! The command `test-alert`: sends a sample alert to every sink and prints the results.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use traffic_alerted::alert::{DeliveryTest, SinkOptions};
use traffic_alerted::config::ConfigFile;
use traffic_alerted::logging;

use super::{command_helper, confine};

/// The arguments of `test-alert`.
#[derive(Debug, Args)]
pub(super) struct TestAlertArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

impl TestAlertArgs {
    /// Becomes the users that the monitor and its command would be, and drops privileges as the monitor does; files
    /// that root has left become the user's, as at a start. Then sends a sample to every sink and prints each result.
    ///
    /// # Errors
    /// The configuration is wrong, the system refuses a thread, or a sink did not deliver the sample.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = ConfigFile::load(&self.config)?;
        file.check_users(confine::keeps_state())?;
        let config = file.into_config();
        let prefix = super::begin_log(config.log_format())?;
        let identity = confine::identity(&config)?;
        let helper = command_helper::start(&config, &confine::command_identity(&config, &identity)?)?;
        confine::confine(&config, &identity, &self.config, None)?;
        // Threads have the user of the one that starts them.
        logging::start_thread(|| ())?;
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
