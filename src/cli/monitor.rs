//! The program without a command name: monitors with a configuration until it gets a signal to stop or a thread fails.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use tracing::{error, info, warn};
use traffic_alerted::alert::{
    CommandHelper, OPEN_ALERTS_MAX, SinkName, SinkOptions, SinkResult, SinkUpdate, Sinks,
};
use traffic_alerted::api::{NewAccess, RunningServer, Server, TokenError};
use traffic_alerted::capture::PacketSockets;
use traffic_alerted::config::{Config, ConfigError, ConfigFile, Viewer, Warnings};
use traffic_alerted::engine::{Engine, RunningEngine, Signals, WaitFor, WakeReason};
use traffic_alerted::enrich::GeoIp;
use traffic_alerted::logging::{self, LinePrefix, LogFormat};
use traffic_alerted::sandbox::{self, ThreadKind};
use traffic_alerted::supervisor;

use super::background::Background;
use super::reading::{READ_USUALLY, late, load, read_beside};
use super::removal::Removal;
use super::state::{self, OpenedState};
use super::{begin_log, command_helper, confine, preflight, reach, rules, second_start};

/// Monitors with the configuration at `path` until SIGTERM or SIGINT; SIGHUP reads the file again.
///
/// # Errors
/// The configuration is wrong, something cannot be opened or started, or a thread failed while it ran.
pub(super) fn run(path: &Path) -> anyhow::Result<()> {
    // Descriptors are adopted before the first thread starts, which could open others.
    let sockets = second_start::passed_on()?;
    // Signals are blocked before the first thread starts, because threads inherit the mask.
    let signals = Signals::block().context("cannot take over SIGTERM, SIGINT and SIGHUP")?;
    let Some(read) = read_beside(path, &signals)? else { return Ok(()) };
    let (file, refusals) = read.inspect_err(|error| {
        // If the file is wrong, its log format is still used for the report. Without a log the report is text.
        if error.log_format() == LogFormat::Json {
            let _ = begin_log(LogFormat::Json);
        }
    })?;
    let prefix = begin_log(file.config().log_format())?;
    preflight::stop_for(refusals)?;
    if sockets.is_none() {
        second_start::start_again_if_needed(file.config().capture_options().workers)?;
    }
    let mut monitor = Monitor::start(file, path, prefix, sockets)?;
    supervisor::ready();
    let reason = loop {
        match signals.wait(monitor.waits_for()).context("cannot wait for a signal")? {
            WakeReason::Reload => monitor.begin_reload(),
            WakeReason::TaskEnded if monitor.reload.is_some() => monitor.finish_reload(),
            WakeReason::TaskEnded => monitor.finish_removal(),
            WakeReason::HelperEnded => monitor.helper_has_ended(),
            WakeReason::DeadlineOver => monitor.reload_is_late(),
            WakeReason::Stop(signal) => break signal,
            WakeReason::ThreadFailed => break "failure",
        }
    };
    supervisor::stopping();
    monitor.stop(reason)
}

/// What a reload puts into force: everything that takes reading files.
struct Prepared {
    in_force: Config,
    /// The keys whose new values take a restart.
    later: Vec<&'static str>,
    /// The keys whose values need a file, folder or port that the sandbox does not allow.
    beyond: Vec<&'static str>,
    /// The new options of the sinks; `None` if they have not changed.
    sinks: Option<SinkUpdate>,
    /// Who may ask the API what from now on.
    access: Result<NewAccess, TokenError>,
}

impl Prepared {
    /// Reads the configuration again, and the files that it names. If the options of the sinks are the same, the GeoIP
    /// files are read again, since these may have changed.
    fn read(
        path: &Path,
        running: &Config,
        geoip: &GeoIp,
        helper: Option<&CommandHelper>,
    ) -> Result<Self, ConfigError> {
        let new = load(path)?;
        let warnings = new.warnings(Viewer::Program);
        log_warnings(&warnings);
        let new = new.into_config();
        let beyond = sandbox::grants().map(|grants| new.beyond(grants)).unwrap_or_default();
        let (in_force, later) = running.reload_within(new, sandbox::grants());
        let sinks = if running.sink_options() == in_force.sink_options() {
            geoip.read_again(warnings.keys());
            None
        } else {
            Some(SinkUpdate::read(&sink_options(&in_force, &warnings, helper)))
        };
        let access = NewAccess::read(&in_force.api_options());
        Ok(Self { in_force, later, beyond, sinks, access })
    }
}

/// The running engine and server, and the configuration in force.
struct Monitor<'p> {
    path: &'p Path,
    config: Config,
    engine: RunningEngine,
    server: RunningServer,
    sinks: Sinks,
    geoip: GeoIp,
    /// What runs `AlertCommand`; `None` if the configuration has none.
    helper: Option<CommandHelper>,
    /// True until the log has that the helper has ended.
    watches_helper: bool,
    /// True if what waits for a sink at the end is delivered after the next start.
    keeps_notices: bool,
    /// The reload whose files are being read.
    reload: Option<Background<Result<Prepared, ConfigError>>>,
    /// The sinks that the last reload has removed, while they make their last attempts.
    removal: Option<Removal>,
    /// True if another reload was asked for meanwhile.
    reload_again: bool,
}

impl<'p> Monitor<'p> {
    /// Opens all sockets and rings, drops privileges, and starts all threads; `engine/mod.rs` lists the order.
    /// `sockets` are the packet sockets, if they are open already.
    fn start(
        file: ConfigFile,
        path: &'p Path,
        prefix: LinePrefix,
        sockets: Option<PacketSockets>,
    ) -> anyhow::Result<Self> {
        let config = file.config();
        let identity = confine::identity(config)?;
        // The helper is started before any socket is open, and while this process can still start programs.
        let helper = command_helper::start(config, &confine::command_identity(config, &identity)?)?;
        let server = Server::bind(&config.api_options())?;
        let engine =
            Engine::open(&config.capture_options(), &config.engine_options(), rules(config), sockets)?;
        #[cfg(feature = "attack-tests")]
        sandbox::attack::prepare().context("cannot prepare the attack")?;
        confine::confine(config, &identity, path, server.socket_path())?;
        super::sandbox::begin(config, path, server.socket_path());
        // No thread has run until here, since each has a user, capabilities and restrictions of its own.
        logging::start_thread(|| sandbox::enter(ThreadKind::Records))?;
        if let Some(helper) = &helper {
            helper.start_log().context("cannot start the thread that logs errors of AlertCommand")?;
        }
        // The files are looked for with the rights that the sinks have.
        let warnings = file.warnings(Viewer::Program);
        log_warnings(&warnings);
        let report = engine.report();
        let OpenedState { ledger, sinks: waiting, writer: store, taken_over } = state::open(config)?;
        let options = sink_options(config, &warnings, helper.as_ref());
        let sinks = Sinks::start(io::stderr(), prefix, &options, waiting)
            .context("cannot start the threads of the sinks: raise the limits on tasks and open files")?;
        let geoip = sinks.geoip();
        let engine = engine.start(sinks.clone(), ledger, store.clone())?;
        let server = server
            .with_mutes(engine.mute_handle())
            .with_geoip(geoip.clone())
            .with_state(store.clone())
            .start(report)?;
        if let (Some(store), Some(file)) = (&store, &taken_over) {
            state::finish_takeover(store, file);
        }
        info!("listening on http://{}/dashboard/", server.local_addr());
        if let Some(path) = server.socket_path() {
            info!("the API is also at the socket {}", path.display());
        }
        reach::check_clients(config.api_options().listen);
        reach::check_receivers(config);
        // Threads that are started later inherit the filter of this one.
        sandbox::enter(ThreadKind::Main);
        let config = file.into_config();
        Ok(Self {
            path,
            config,
            engine,
            server,
            sinks,
            geoip,
            watches_helper: helper.is_some(),
            keeps_notices: store.is_some(),
            helper,
            reload: None,
            removal: None,
            reload_again: false,
        })
    }

    /// Returns what the main thread waits for besides signals.
    fn waits_for(&self) -> WaitFor<'_> {
        let removal = self.removal.as_ref().map(AsFd::as_fd);
        let helper = self.helper.as_ref().filter(|_| self.watches_helper);
        WaitFor {
            failure: Some(self.engine.as_fd()),
            task: self.reload.as_ref().map(AsFd::as_fd).or(removal),
            helper: helper.and_then(CommandHelper::ended),
            deadline: self.reload.as_ref().and_then(Background::deadline),
        }
    }

    /// Says that the helper has ended, and what becomes of alerts. It cannot be started again: this process can no
    /// longer start programs.
    fn helper_has_ended(&mut self) {
        self.watches_helper = false;
        let how = self.helper.as_ref().and_then(CommandHelper::how_it_ended);
        let how = how.unwrap_or_else(|| "has ended".to_owned());
        let what_next = match self.keeps_notices {
            true => "alerts wait for it until then",
            false => "alerts wait for it, but without a StateDirectory a restart loses those that wait",
        };
        error!("AlertCommand: the helper that runs its program {how}: restart TrafficAlerted; {what_next}");
    }

    /// Begins to read the configuration again, on a thread of its own. If one is being read, it is read once more after
    /// that, since the file may have changed. So it is if sinks of the last reload are still ending: a sink that comes
    /// back must not overtake itself.
    fn begin_reload(&mut self) {
        if self.reload.is_some() || self.removal.is_some() {
            self.reload_again = true;
            return;
        }
        supervisor::reloading();
        let (path, running) = (self.path.to_owned(), self.config.clone());
        let (geoip, helper) = (self.geoip.clone(), self.helper.clone());
        let read = move || {
            sandbox::enter(ThreadKind::ConfigReader);
            Prepared::read(&path, &running, &geoip, helper.as_ref())
        };
        match Background::start("config", READ_USUALLY, read) {
            Ok(reload) => self.reload = Some(reload),
            Err(error) => {
                error!(
                    "{} cannot be read, so nothing changes: {error}: raise the limit on tasks",
                    self.path.display()
                );
                supervisor::ready();
            }
        }
    }

    /// Says that reading takes too long. What is read later is put into force all the same.
    fn reload_is_late(&mut self) {
        if let Some(reload) = &mut self.reload {
            warn!("{} is not read after {} nothing changes until then", self.path.display(), late());
            reload.go_on();
            supervisor::ready();
        }
    }

    /// Applies the settings that need no restart. If the file is wrong, nothing changes.
    fn finish_reload(&mut self) {
        match self.reload.take().map(Background::finish) {
            None => {}
            Some(Err(error)) => {
                error!("{} is wrong, so nothing changes: {}", self.path.display(), error.in_one_line());
            }
            Some(Ok(Prepared { in_force, later, beyond, sinks, access })) => {
                self.engine.apply(rules(&in_force), &in_force.capture_options());
                match access {
                    Ok(access) => self.server.set_access(access),
                    Err(error) => error!("the API token and its users stay as they were: {error}"),
                }
                self.server.set_capabilities(in_force.api_options().capabilities);
                if sinks.is_some() {
                    reach::check_receivers(&in_force);
                }
                self.update_sinks(sinks);
                info!("{} is in force", self.path.display());
                if !later.is_empty() {
                    warn!("not before a restart: {}", with_reason(&later, &beyond));
                }
                self.config = in_force;
            }
        }
        supervisor::ready();
        self.begin_next_reload();
    }

    /// Begins the reload that was asked for during the last one.
    fn begin_next_reload(&mut self) {
        if self.removal.is_none() && std::mem::take(&mut self.reload_again) {
            self.begin_reload();
        }
    }

    /// Logs what the sinks that the last reload has removed have not delivered.
    fn finish_removal(&mut self) {
        let results = self.removal.take().map(Removal::finish);
        results.iter().flatten().for_each(|result| warn_undelivered(result, 0));
        self.begin_next_reload();
    }

    /// Applies the options of the sinks if they have changed; queues and counters stay.
    fn update_sinks(&mut self, update: Option<SinkUpdate>) {
        let Some(update) = update else { return self.server.set_geoip(self.geoip.clone()) };
        match self.sinks.reconfigure(update) {
            Ok(removed) => {
                self.geoip = self.sinks.geoip();
                self.server.set_geoip(self.geoip.clone());
                match Removal::begin(removed) {
                    Ok(removal) => self.removal = removal,
                    Err(results) => results.iter().for_each(|result| warn_undelivered(result, 0)),
                }
            }
            Err(error) => error!(
                "alerts go where they went before: cannot start the threads of the sinks: {error}: raise the limits \
                 on tasks and open files"
            ),
        }
    }

    /// Stops everything in the reverse order of the start and logs the totals.
    fn stop(self, reason: &str) -> anyhow::Result<()> {
        self.server.stop();
        let summary = self.engine.stop();
        // They had as long as the engine took to stop.
        let removed = self.removal.map(Removal::hurry);
        removed.iter().flatten().for_each(|result| warn_undelivered(result, 0));
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
        for result in &summary.sinks {
            let unwritten = summary.unwritten.of_sinks.get(result.sink.name()).copied();
            warn_undelivered(result, unwritten.unwrap_or(0));
        }
        summary.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }
}

/// Returns the options of the sinks. `warnings` are logged already.
fn sink_options(config: &Config, warnings: &Warnings, helper: Option<&CommandHelper>) -> SinkOptions {
    SinkOptions { faults_logged: warnings.keys().to_vec(), helper: helper.cloned(), ..config.sink_options() }
}

/// Returns the keys that take a restart, and the reason for those that are `beyond` what the sandbox allows.
fn with_reason(later: &[&str], beyond: &[&str]) -> String {
    let confined: Vec<&str> = later.iter().copied().filter(|key| beyond.contains(key)).collect();
    let reason = match confined.join(", ") {
        keys if keys.is_empty() => String::new(),
        keys => format!("; the sandbox allows only the files, folders and ports of the start: {keys}"),
    };
    later.join(", ") + &reason
}

/// Logs what the configuration names and what cannot be used, each in one line with its cause.
fn log_warnings(warnings: &Warnings) {
    warnings.one_line_each().for_each(|line| warn!("{line}"));
}

/// Logs the numbers of notices that a sink has not delivered: those that failed or were dropped, and those that still
/// waited when the time was over. Of these, `unwritten` are not in the database, so the next start has them not.
fn warn_undelivered(SinkResult { sink, counts, in_time, is_kept }: &SinkResult, unwritten: u64) {
    let (lost, waiting) = (counts.lost(), counts.waiting());
    match sink {
        SinkName::Log if lost > 0 => {
            warn!("{lost} alerts were not written: the log took them too slowly");
        }
        _ if lost > 0 => warn!("{sink}: {lost} alerts were not delivered"),
        _ => {}
    }
    let unwritten = unwritten.min(waiting);
    match sink {
        _ if *is_kept && waiting > 0 => {
            if unwritten > 0 {
                warn!("{sink}: {unwritten} alerts that waited are lost, since the state was not written");
            }
            if waiting > unwritten {
                info!("{sink}: {} alerts wait for the next start", waiting - unwritten);
            }
        }
        SinkName::Log if !in_time => warn!("the last alerts were not written: the log took nothing"),
        _ if waiting > 0 => warn!("{sink}: {waiting} alerts were still waiting at the end"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_the_sandbox_holds_back_has_its_reason() {
        assert_eq!(with_reason(&["Workers"], &["AlertFile"]), "Workers");
        assert_eq!(
            with_reason(&["Workers", "WebhookURL"], &["WebhookURL", "WebhookToken"]),
            "Workers, WebhookURL; the sandbox allows only the files, folders and ports of the start: WebhookURL"
        );
    }
}
