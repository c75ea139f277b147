//! The folders, files and TCP ports that a configuration needs while the program runs.

use std::path::{Path, PathBuf};

use super::checked::Config;
use super::key::SettingKey;
use crate::alert::{Secret, SyslogTarget};
use crate::sandbox::Grants;

impl Config {
    /// Returns what a program that starts with this configuration may read, write and connect to.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "WebhookURL: https://hooks.example/path")?;
    /// assert!(config.grants().allow_port(443) && !config.grants().allow_port(25));
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn grants(&self) -> Grants {
        let mut grants = Grants::of_every_program();
        let settings = &self.settings;
        let databases = [&settings.country_database, &settings.asn_database].into_iter().flatten();
        databases.map(PathBuf::as_path).chain(self.secret_files()).for_each(|file| grants.read_file(file));
        let written = [&settings.state_file, &settings.alert_file].into_iter().flatten();
        let folders = written.filter_map(|file| file.parent()).chain(settings.state_directory.as_deref());
        folders.for_each(|folder| grants.write_folder(folder));
        let ports = [self.webhook_port(), self.syslog_port()];
        ports.into_iter().flatten().for_each(|port| grants.connect_to(port));
        grants
    }

    /// Returns the files that hold a secret: the token of the API, the webhook's token and its address.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let settings = &self.settings;
        let address = match &settings.webhook_url {
            Some(Secret::InFile(file)) => Some(file),
            _ => None,
        };
        let tokens = [&settings.api_token_file, &settings.webhook_token_file];
        tokens.into_iter().flatten().chain(address).map(PathBuf::as_path)
    }

    /// Returns what the program sends to beside its own host: settings, and the `host:port` of each. Reads the file
    /// that `WebhookURL` may name.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "WebhookURL: https://hooks.example/path\nSyslog: udp://[fd00::5]:514")?;
    /// let receivers = [("WebhookURL", "hooks.example:443".to_owned()), ("Syslog", "[fd00::5]:514".to_owned())];
    /// assert_eq!(config.receivers(), receivers);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn receivers(&self) -> Vec<(&'static str, String)> {
        let settings = &self.settings;
        let webhook = settings.webhook_url.as_ref().and_then(Secret::host_and_port);
        let webhook = webhook.map(|(host, port)| (SettingKey::WebhookURL.name(), format!("{host}:{port}")));
        let syslog = match &settings.syslog {
            Some(SyslogTarget::Udp(to) | SyslogTarget::Tcp(to)) => {
                Some((SettingKey::Syslog.name(), to.clone()))
            }
            Some(SyslogTarget::Unix(_)) | None => None,
        };
        webhook.into_iter().chain(syslog).collect()
    }

    /// Returns the names of the settings whose values need another file, folder or port than `grants` allow.
    pub fn beyond(&self, grants: &Grants) -> Vec<&'static str> {
        self.settings_beyond(grants).into_iter().map(SettingKey::name).collect()
    }

    /// Returns the settings whose values need more than `grants` allow. Those of one receiver stay together, so that no
    /// secret goes to another receiver than its own.
    pub(super) fn settings_beyond(&self, grants: &Grants) -> Vec<SettingKey> {
        let settings = &self.settings;
        let reads = |file: &Option<PathBuf>| file.iter().all(|file| grants.allow_reading(file));
        let mut beyond = Vec::new();
        if !reads(&settings.country_database) {
            beyond.push(SettingKey::CountryDatabase);
        }
        if !reads(&settings.asn_database) {
            beyond.push(SettingKey::AsnDatabase);
        }
        let file = settings.alert_file.as_ref().and_then(|file| file.parent());
        if !file.is_none_or(|folder| grants.allow_writing(folder)) {
            beyond.push(SettingKey::AlertFile);
        }
        let has_url = match &settings.webhook_url {
            Some(Secret::InFile(file)) => grants.allow_reading(file),
            _ => true,
        };
        let has_port = |port: Option<u16>| port.is_none_or(|port| grants.allow_port(port));
        if !(has_url && reads(&settings.webhook_token_file) && has_port(self.webhook_port())) {
            beyond.extend([
                SettingKey::WebhookURL,
                SettingKey::WebhookFormat,
                SettingKey::WebhookToken,
                SettingKey::WebhookTokenFile,
            ]);
        }
        if !has_port(self.syslog_port()) {
            beyond.push(SettingKey::Syslog);
        }
        if !reads(&settings.api_token_file) {
            beyond.extend([SettingKey::ApiToken, SettingKey::ApiTokenFile]);
        }
        beyond
    }

    /// Returns the TCP port of the webhook; `None` if there is no webhook, or if its address cannot be read now.
    fn webhook_port(&self) -> Option<u16> {
        self.settings.webhook_url.as_ref()?.port()
    }

    /// Returns the TCP port of the collector; `None` if it is reached without TCP.
    fn syslog_port(&self) -> Option<u16> {
        match self.settings.syslog.as_ref()? {
            SyslogTarget::Tcp(host_and_port) => host_and_port.rsplit(':').next()?.parse().ok(),
            SyslogTarget::Udp(_) | SyslogTarget::Unix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse("test.conf", text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_reload_keeps_what_would_need_another_folder_or_port() {
        let [own, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder for the test"));
        let alert_file =
            |folder: &tempfile::TempDir, name| format!("AlertFile: {}/{name}\n", folder.path().display());
        let running = parse(&format!(
            "{}WebhookURL: http://127.0.0.1:8080/\nSyslog: tcp://127.0.0.1:601\n",
            alert_file(&own, "a")
        ));
        let grants = running.grants();
        let cases = [
            (alert_file(&own, "b"), vec![]),
            (alert_file(&other, "a"), vec!["AlertFile"]),
            (alert_file(&own, "a") + "WebhookURL: http://127.0.0.1:8080/other\n", vec![]),
            (
                alert_file(&own, "a") + "WebhookURL: https://127.0.0.1/\nWebhookToken: secret\n",
                vec!["WebhookURL", "WebhookToken"],
            ),
            (alert_file(&own, "a") + "Syslog: tcp://127.0.0.1:602\n", vec!["Syslog"]),
            (alert_file(&own, "a") + "Syslog: udp://127.0.0.1:602\n", vec![]),
            (
                alert_file(&own, "a") + &format!("ApiTokenFile: {}/token\n", other.path().display()),
                vec!["ApiTokenFile"],
            ),
            (alert_file(&own, "a") + &format!("ApiTokenFile: {}/token\n", own.path().display()), vec![]),
        ];
        for (text, expected) in cases {
            let (in_force, later) = running.reload_within(parse(&text), Some(&grants));
            assert_eq!(later, expected, "{text}");
            let beyond = parse(&text).beyond(&grants);
            assert!(expected.iter().all(|key| beyond.contains(key)), "the reason is known: {text}");
            for key in expected {
                let key = SettingKey::named(key).expect("it is the name of a key");
                assert_eq!(in_force.settings.lines(key), running.settings.lines(key), "{text}");
            }
        }
    }
}
