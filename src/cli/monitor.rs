//! The program without a command name: monitors with a configuration until it gets a signal to stop or a thread fails.

use std::io;
use std::path::Path;

use anyhow::Context;
use tracing::{error, info, warn};
use traffic_alerted::alert::{
    CommandHelper, OPEN_ALERTS_MAX, PersistedLedger, SinkName, SinkOptions, SinkResult, Sinks, StateFile,
};
use traffic_alerted::api::{RunningServer, Server};
use traffic_alerted::config::{Config, ConfigError, ConfigFile, Viewer, Warnings};
use traffic_alerted::engine::{Engine, RunningEngine, SINK_SHUTDOWN_TIMEOUTS, Signals, WakeReason};
use traffic_alerted::enrich::GeoIp;
use traffic_alerted::logging::{self, LinePrefix, LogFormat};
use traffic_alerted::supervisor;

use super::{begin_log, command_helper, confine, rules};

/// Monitors with the configuration at `path` until SIGTERM or SIGINT; SIGHUP reads the file again.
///
/// # Errors
/// The configuration is wrong, something cannot be opened or started, or a thread failed while it ran.
pub(super) fn run(path: &Path) -> anyhow::Result<()> {
    // Signals are blocked before the first thread starts, because threads inherit the mask.
    let signals = Signals::block().context("cannot take over SIGTERM, SIGINT and SIGHUP")?;
    let file = load(path).inspect_err(|error| {
        // If the file is wrong, its log format is still used for the report. Without a log the report is text.
        if error.log_format() == LogFormat::Json {
            let _ = begin_log(LogFormat::Json);
        }
    })?;
    let prefix = begin_log(file.config().log_format())?;
    let mut monitor = Monitor::start(file, path, prefix)?;
    supervisor::ready();
    let reason = loop {
        match signals.wait(&monitor.engine).context("cannot wait for a signal")? {
            WakeReason::Reload => monitor.reload(),
            WakeReason::Stop(signal) => break signal,
            WakeReason::ThreadFailed => break "failure",
        }
    };
    supervisor::stopping();
    monitor.stop(reason)
}

/// Reads the configuration and checks that its users exist.
fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
    let file = ConfigFile::load(path)?;
    file.check_users(confine::keeps_state())?;
    Ok(file)
}

/// The running engine and server, and the configuration in force.
struct Monitor<'p> {
    path: &'p Path,
    config: Config,
    prefix: LinePrefix,
    engine: RunningEngine,
    server: RunningServer,
    geoip: GeoIp,
    /// What runs `AlertCommand`; `None` if there was none at the start.
    helper: Option<CommandHelper>,
}

impl<'p> Monitor<'p> {
    /// Opens all sockets and rings, drops privileges, and starts all threads; `engine/mod.rs` lists the order.
    fn start(file: ConfigFile, path: &'p Path, prefix: LinePrefix) -> anyhow::Result<Self> {
        let config = file.config();
        let identity = confine::identity(config)?;
        // The helper is started before any socket is open, and while this process can still start programs.
        let helper = command_helper::start(config, &confine::command_identity(config, &identity)?)?;
        let server = Server::bind(&config.api_options())?;
        let engine = Engine::open(&config.capture_options(), &config.engine_options(), rules(config))?;
        confine::confine(config, &identity, path)?;
        // No thread has run until here, since each has a user and capabilities of its own.
        logging::start_thread(|| ())?;
        if let Some(helper) = &helper {
            helper.start_log().context("cannot start the thread that logs errors of AlertCommand")?;
        }
        // The files are looked for with the rights that the sinks have.
        let warnings = file.warnings(Viewer::Program);
        log_warnings(&warnings, &prefix);
        let report = engine.report();
        let state = open_state(config)?;
        let sinks = start_sinks(config, &prefix, &warnings, helper.as_ref())?;
        let geoip = sinks.geoip();
        let engine = engine.start(sinks, state)?;
        let server = server.with_mutes(engine.mute_handle()).with_geoip(geoip.clone()).start(report)?;
        info!("listening on http://{}/dashboard/", server.local_addr());
        Ok(Self { path, config: file.into_config(), prefix, engine, server, geoip, helper })
    }

    /// Reads the configuration again and applies the settings that need no restart. If the file is wrong, nothing
    /// changes.
    fn reload(&mut self) {
        supervisor::reloading();
        match ConfigFile::load(self.path) {
            Err(error) if self.prefix.is_json() => {
                error!("{} is wrong, so nothing changes: {}", self.path.display(), error.in_one_line());
            }
            Err(error) => {
                error!("{} is wrong, so nothing changes:", self.path.display());
                error.render(false).lines().for_each(|line| error!("{line}"));
            }
            Ok(new) => {
                let warnings = new.warnings(Viewer::Program);
                log_warnings(&warnings, &self.prefix);
                let (in_force, mut later) = self.config.reload(new.into_config());
                if self.helper.is_none() && in_force.sink_options().command.is_some() {
                    later.push("AlertCommand");
                }
                self.engine.apply(rules(&in_force), &in_force.capture_options());
                self.server.set_capabilities(in_force.api_options().capabilities);
                self.reload_sinks(&in_force, &warnings);
                info!("{} is in force", self.path.display());
                if !later.is_empty() {
                    warn!("not before a restart: {}", later.join(", "));
                }
                self.config = in_force;
            }
        }
        supervisor::ready();
    }

    /// Replaces the sinks if their options have changed; the old sinks deliver what is queued, within time limits. If
    /// the options are the same, it reads the GeoIP files again, since these may have changed.
    fn reload_sinks(&mut self, new: &Config, warnings: &Warnings) {
        if self.config.sink_options() == new.sink_options() {
            self.geoip.read_again(warnings.keys());
            self.server.set_geoip(self.geoip.clone());
            return;
        }
        match start_sinks(new, &self.prefix, warnings, self.helper.as_ref()) {
            Ok(sinks) => {
                self.geoip = sinks.geoip();
                self.server.set_geoip(self.geoip.clone());
                if let Some(old) = self.engine.replace_sinks(sinks) {
                    old.finish(SINK_SHUTDOWN_TIMEOUTS).iter().for_each(warn_undelivered);
                }
            }
            Err(error) => error!("alerts go where they went before: {error:#}"),
        }
    }

    /// Stops everything in the reverse order of the start and logs the totals.
    fn stop(self, reason: &str) -> anyhow::Result<()> {
        self.server.stop();
        let summary = self.engine.stop();
        // The last lines of commands are logged before the totals.
        drop(self.helper);
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
        if summary.discarded_findings > 0 {
            warn!("alerts are missing: {OPEN_ALERTS_MAX} were open at once, so the limits are too low");
        }
        summary.sinks.iter().for_each(warn_undelivered);
        summary.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Opens the file that keeps alerts and mutes: `StateFile`, or else a file in the directory that systemd provides.
/// Returns `None` if there is neither.
fn open_state(config: &Config) -> anyhow::Result<Option<(PersistedLedger, StateFile)>> {
    let provided = || Some(confine::provided_folder("STATE_DIRECTORY")?.join("state.json"));
    let path = config.state_file().map(Path::to_owned).or_else(provided);
    path.map(StateFile::open)
        .transpose()
        .context("cannot start the thread of the state: raise the limit on tasks")
}

/// Starts every sink that is configured. `warnings` are logged already. Without a helper there is no `AlertCommand`.
fn start_sinks(
    config: &Config,
    prefix: &LinePrefix,
    warnings: &Warnings,
    helper: Option<&CommandHelper>,
) -> anyhow::Result<Sinks> {
    let mut options = SinkOptions { faults_logged: warnings.keys().to_vec(), ..config.sink_options() };
    options.command = options.command.filter(|_| helper.is_some());
    options.helper = helper.cloned();
    Sinks::start(io::stderr(), prefix.clone(), &options)
        .context("cannot start the threads of the sinks: raise the limits on tasks and open files")
}

/// Logs what the configuration names and what cannot be used: each as one record of JSON, or as the lines of its
/// report.
fn log_warnings(warnings: &Warnings, prefix: &LinePrefix) {
    if prefix.is_json() {
        warnings.one_line_each().for_each(|line| warn!("{line}"));
        return;
    }
    for report in warnings.reports(false) {
        // The log has its own word for the level.
        let report = report.strip_prefix("warning: ").unwrap_or(&report);
        report.lines().for_each(|line| warn!("{line}"));
    }
}

/// Logs the numbers of notices that a sink has not delivered: those that failed or were dropped, and those that still
/// waited when the time was over.
fn warn_undelivered(SinkResult { sink, counts, in_time }: &SinkResult) {
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
