//! The process: read the command line and the configuration, do what was asked, say how it ended.
//!
//! Exit codes: 0 asked to stop, 1 failure, 2 bad usage or configuration.
#![forbid(unsafe_code)]

mod replaying;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing::{Level, error, info, warn};
use traffic_alerted::alert::{
    DeliveryTest, OPEN_ALERTS_MAX, PersistedLedger, SinkName, SinkResult, Sinks, StateFile,
};
use traffic_alerted::api::{self, Server};
use traffic_alerted::config::{Config, ConfigError};
use traffic_alerted::engine::{self, Engine, LAST_ALERTS, Rules, Signals, Woken};
use traffic_alerted::enrich::GeoIp;
use traffic_alerted::logging::{self, LinePrefix, LogFormat};
use traffic_alerted::privileges;
use traffic_alerted::supervisor;
use traffic_alerted::time::unix_now;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Watches all traffic that transits this host; alerts on volume and on scanning.
#[derive(Debug, Parser)]
#[command(name = "TrafficAlerted", version, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Exit status: 0 asked to stop, 1 failure, 2 bad usage or configuration.")]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Monitor with this configuration until asked to stop.
    #[arg(value_name = "CONFIG", required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and print what is in force.
    Check {
        /// The configuration file.
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Send a sample to every place that alerts go to, and say what came of it.
    TestAlert {
        /// The configuration file.
        #[arg(value_name = "CONFIG")]
        config: PathBuf,
    },
    /// Run the same engine over capture files (pcap, pcapng).
    Replay(replaying::ReplayArgs),
}

fn main() -> ExitCode {
    // The allocator asks for huge pages for all of its memory, of which a program that waits uses little and here and
    // there: 36 MiB instead of 8. A million pairs take 4 % longer without them. A kernel that refuses costs memory, no more.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let code = match run_command(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report_error(&error),
    };
    // Without success there is nobody to say it to.
    let _ = logging::finish(LAST_RECORDS);
    code
}

/// Patience at the end with a stderr that does not take its last lines.
const LAST_RECORDS: Duration = Duration::from_millis(100);

fn run_command(line: CommandLine) -> anyhow::Result<()> {
    match (line.command, line.config) {
        (Some(Command::Check { config }), _) => check(&Config::load(config)?),
        (Some(Command::TestAlert { config }), _) => {
            let config = Config::load(config)?;
            test_alert(&config, begin_log(&config)?)
        }
        (Some(Command::Replay(what)), _) => what.run(|config| begin_log(config).map(drop)),
        (None, Some(config)) => {
            // Before any thread is started: they inherit it.
            let signals = Signals::block().context("cannot take over SIGTERM, SIGINT and SIGHUP")?;
            let path = config;
            let config = Config::load(&path)?;
            let prefix = begin_log(&config)?;
            monitor(config, &path, &signals, &prefix)
        }
        (None, None) => unreachable!("clap requires a subcommand or a configuration"),
    }
}

/// Begins to write the log in the form that the configuration wants.
fn begin_log(config: &Config) -> anyhow::Result<LinePrefix> {
    let prefix = LinePrefix::detect(config.log_format());
    // The thread of the log starts before the rings are open and needs no capability; `drop_all` of this thread
    // reports a failure.
    logging::init(prefix.clone(), || drop(privileges::drop_all()))?;
    Ok(prefix)
}

fn check(config: &Config) -> anyhow::Result<()> {
    match write!(io::stdout().lock(), "{config}") {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Sends a sample to every sink, with the rights that alerts are sent with.
fn test_alert(config: &Config, prefix: LinePrefix) -> anyhow::Result<()> {
    privileges::drop_all()?;
    let trials = config
        .sink_options()
        .try_out(io::stderr(), prefix)
        .context("cannot start the threads of the sinks: raise the limits on tasks and open files")?;
    let mut out = io::stdout().lock();
    for DeliveryTest { sink, outcome, caveat } in &trials {
        match outcome {
            Ok(took) => {
                let caveat = caveat.map_or_else(String::new, |caveat| format!(" ({caveat})"));
                writeln!(out, "{sink}: delivered in {} ms{caveat}", took.as_millis())?;
            }
            Err(why) => writeln!(out, "{sink}: failed: {why}")?,
        }
    }
    let failed = trials.iter().filter(|trial| trial.outcome.is_err()).count();
    anyhow::ensure!(failed == 0, "the sample did not arrive at {failed} of {} places", trials.len());
    Ok(())
}

/// Monitors until asked to stop; asked to reload, goes by what `path` says then.
fn monitor(mut config: Config, path: &Path, signals: &Signals, prefix: &LinePrefix) -> anyhow::Result<()> {
    let server = Server::bind(&config.api_options())?;
    let engine = Engine::open(&config.capture_options(), &config.engine_options(), rules(&config))?;
    privileges::drop_all()?;
    let report = engine.report();
    let state = open_state(&config)?;
    let sinks = start_outlets(&config, prefix)?;
    let mut geoip = sinks.geoip();
    let running = engine.start(sinks, state)?;
    let server = server.with_mutes(running.mute_desk()).with_origins(geoip.clone()).start(report)?;
    info!("listening on http://{}/dashboard/", server.local_addr());
    supervisor::ready();

    let reason = loop {
        match signals.wait(&running).context("cannot wait for a signal")? {
            Woken::Reload => config = reload(config, path, &running, &server, &mut geoip, prefix),
            Woken::Stop(signal) => break signal,
            Woken::Other => break "failure",
        }
    };
    supervisor::stopping();
    server.stop();
    let summary = running.stop();
    let counted = &summary.accounting;
    info!(
        "{}: {} packets, {} bytes counted, {} frames skipped, {} dropped by the kernel, {} left in the rings, \
         {} packets spilled",
        reason,
        counted.ip_packets,
        counted.ip_bytes,
        counted.skipped_frames(),
        counted.kernel.tp_drops,
        counted.frames_in_rings(),
        counted.spilled_packets,
    );
    if summary.refused_findings > 0 {
        warn!("alerts are missing: {OPEN_ALERTS_MAX} were open at once, so the limits are too low");
    }
    summary.sinks.iter().for_each(say_lost);
    summary.failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Opens the file that keeps alerts and mutes, if there is to be one.
fn open_state(config: &Config) -> anyhow::Result<Option<(PersistedLedger, StateFile)>> {
    // Several folders have colons between them (systemd.exec(5)); ours is the first.
    let provided = std::env::var("STATE_DIRECTORY").ok();
    let provided = provided.iter().flat_map(|folders| folders.split(':')).find(|folder| !folder.is_empty());
    let path =
        config.state_file().map(Path::to_owned).or_else(|| Some(Path::new(provided?).join("state.json")));
    path.map(StateFile::open)
        .transpose()
        .context("cannot start the thread of the state: raise the limit on tasks")
}

/// Starts every sink that is configured.
fn start_outlets(config: &Config, prefix: &LinePrefix) -> anyhow::Result<Sinks> {
    Sinks::start(io::stderr(), prefix.clone(), &config.sink_options())
        .context("cannot start the threads of the sinks: raise the limits on tasks and open files")
}

/// Reads the configuration again and puts in force what takes no restart. Gives what is in force then: the same as
/// before where the file is wrong.
fn reload(
    config: Config,
    path: &Path,
    running: &engine::RunningEngine,
    server: &api::RunningServer,
    geoip: &mut GeoIp,
    prefix: &LinePrefix,
) -> Config {
    supervisor::reloading();
    let in_force = match Config::load(path) {
        Err(error) => {
            error!("{} is wrong, so nothing changes:", path.display());
            error.render(false).lines().for_each(|line| error!("{line}"));
            config
        }
        Ok(new) => {
            let (in_force, later) = config.reload(new);
            running.apply(rules(&in_force), &in_force.capture_options());
            server.show(in_force.api_options().capabilities);
            reload_outlets(&config, &in_force, running, server, geoip, prefix);
            info!("{} is in force", path.display());
            if !later.is_empty() {
                warn!("not before a restart: {}", later.join(", "));
            }
            in_force
        }
    };
    supervisor::ready();
    in_force
}

/// Tells alerts to other sinks where they have changed. The ones before finish what waits in them. Where nothing has
/// changed, the files that tell where hosts come from may have.
fn reload_outlets(
    before: &Config,
    now: &Config,
    running: &engine::RunningEngine,
    server: &api::RunningServer,
    geoip: &mut GeoIp,
    prefix: &LinePrefix,
) {
    if before.sink_options() == now.sink_options() {
        geoip.read_again();
        return;
    }
    match start_outlets(now, prefix) {
        Ok(sinks) => {
            *geoip = sinks.geoip();
            server.look_up_in(geoip.clone());
            if let Some(before) = running.replace_outlets(sinks) {
                before.finish(LAST_ALERTS).iter().for_each(say_lost);
            }
        }
        Err(error) => error!("alerts go where they went before: {error:#}"),
    }
}

/// Says what a sink has not delivered.
fn say_lost(SinkResult { sink, counts, in_time }: &SinkResult) {
    let (lost, waiting) = (counts.lost(), counts.waiting());
    match sink {
        SinkName::Log if lost > 0 => {
            warn!("{lost} alerts were not written: the log took them too slowly");
        }
        _ if lost > 0 => warn!("{sink}: {lost} alerts were not delivered"),
        _ => {}
    }
    match sink {
        SinkName::Log if !in_time => warn!("the last alerts were not written: the log took nothing"),
        _ if waiting > 0 => warn!("{sink}: {waiting} alerts were still waiting at the end"),
        _ => {}
    }
}

/// What is counted and said, live and in replay.
fn rules(config: &Config) -> Rules {
    Rules { flow: config.flow_options(), detect: config.detect_limits(), alert: config.alert_options() }
}

/// Says on stderr why it ended, and with which code it must end.
fn report_error(error: &anyhow::Error) -> ExitCode {
    let (report, code) = match error.downcast_ref::<ConfigError>() {
        Some(error) => (error.render(wants_colour()), ExitCode::from(2)),
        None if error.is::<clap::Error>() => (error.to_string(), ExitCode::from(2)),
        None => (format!("error: {error:#}"), ExitCode::FAILURE),
    };
    // Without a configuration there is no log yet, and its format is not known.
    let prefix = logging::prefix().unwrap_or_else(|| LinePrefix::detect(LogFormat::Text));
    let lines: String = match prefix {
        LinePrefix::Json { .. } => prefix.line(unix_now(), Level::ERROR, &format!("{error:#}")),
        // On a terminal the report stands alone; the journal files each line under its level.
        LinePrefix::Clock(_) => format!("{report}\n"),
        LinePrefix::Journal => {
            let level = prefix.at(unix_now(), Level::ERROR).to_string();
            report.lines().map(|line| format!("{level}{line}\n")).collect()
        }
    };
    // If stderr is gone, the exit code is all that is left to say.
    let _ = logging::stderr().write_all(lines.as_bytes());
    code
}

/// Colours are for terminals, unless their reader does not want them (no-color.org).
fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stderr().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
