//! Country and autonomous system of an address, from databases in MaxMind's format (maxmind.github.io/MaxMind-DB), such
//! as GeoLite2 and DB-IP.
//!
//! A file is read completely when the sinks start and when the configuration is read again. It is not mapped, since a
//! program that replaces it may truncate it first, and access to a page after its end raises SIGBUS. A lookup reads
//! memory only. A file that cannot be used is logged once per reading, and alerts are sent without its data.
//!
//! Data of a file are used in these forms only: two letters, a number, a text without hidden characters.

#[cfg(test)]
pub(crate) mod sample;

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use maxminddb::{MaxMindDbError, PathElement, Reader};
use serde::Deserialize;
use tracing::warn;

use crate::escape::Escaped;
use crate::published::Published;

use super::host_details::HostDetails;

/// The paths of the databases; `None` if a database is not configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GeoIpOptions {
    /// The database of countries.
    pub country_database: Option<PathBuf>,
    /// The database of autonomous systems.
    pub asn_database: Option<PathBuf>,
}

/// The data of an address in the databases.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct GeoIpRecord {
    country: Option<String>,
    asn: Option<u32>,
    as_organization: Option<String>,
}

impl GeoIpRecord {
    /// Returns the record together with the name of the host.
    pub(crate) fn details<'a>(&'a self, name: Option<&'a str>) -> HostDetails<'a> {
        let (country, as_organization) = (self.country.as_deref(), self.as_organization.as_deref());
        HostDetails { name, country, asn: self.asn, as_organization }
    }
}

/// The databases as of the last time that they were read. Clones share them.
#[derive(Clone, Debug)]
pub struct GeoIp {
    options: GeoIpOptions,
    databases: Arc<Published<Databases>>,
}

#[derive(Debug)]
struct Databases {
    country: Option<Database>,
    asn: Option<Database>,
}

/// Without databases every record is empty.
impl Default for GeoIp {
    fn default() -> Self {
        Self::read(GeoIpOptions::default())
    }
}

impl GeoIp {
    /// Reads the databases. A database that cannot be used is logged and left out.
    pub fn read(options: GeoIpOptions) -> Self {
        Self::read_knowing(options, &[])
    }

    /// Reads the databases, and logs no fault of those with these configuration keys.
    pub fn read_knowing(options: GeoIpOptions, faults_logged: &[&str]) -> Self {
        let databases = Arc::new(Published::new(Databases::read(&options, faults_logged)));
        Self { options, databases }
    }

    /// Reads the databases again, and logs no fault of those with these configuration keys. Lookups use the earlier
    /// ones until all are read.
    pub fn read_again(&self, faults_logged: &[&str]) {
        self.databases.publish(Databases::read(&self.options, faults_logged));
    }

    /// Takes these bytes for both databases, for the fuzzer. Bytes that are no database stand for none.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_bytes(file: &[u8]) -> Self {
        let database = |key| {
            let reader = Reader::from_source(file.to_vec()).ok()?;
            Some(Database { key, path: PathBuf::new(), reader, damage: Once::new() })
        };
        let databases = Databases { country: database("CountryDatabase"), asn: database("AsnDatabase") };
        Self { options: GeoIpOptions::default(), databases: Arc::new(Published::new(databases)) }
    }

    /// Returns why a file cannot be used as a database, with the remedy; `None` if it can.
    pub(crate) fn fault(path: &Path) -> Option<String> {
        Database::open("", path).err().map(|error| error.to_string())
    }

    /// Returns the data of an address in the databases; a field is `None` if it is missing or malformed there.
    pub(crate) fn of(&self, address: IpAddr) -> GeoIpRecord {
        let databases = self.databases.read();
        let address = address.to_canonical();
        let country = databases.country.as_ref();
        let asn = databases.asn.as_ref();
        GeoIpRecord {
            country: country
                .and_then(|database| database.at::<&str>(address, &["country", "iso_code"]))
                .filter(|code| is_country(code))
                .map(str::to_owned),
            asn: asn.and_then(|database| database.at(address, &["autonomous_system_number"])),
            as_organization: asn
                .and_then(|database| database.at(address, &["autonomous_system_organization"]))
                .map(plain)
                .filter(|organization| !organization.is_empty()),
        }
    }
}

impl Databases {
    fn read(options: &GeoIpOptions, faults_logged: &[&str]) -> Self {
        let open = |key, path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            let opened = Database::open(key, path);
            let log = |error| {
                if !faults_logged.contains(&key) {
                    log_unusable(key, path, &error);
                }
            };
            opened.map_err(log).ok()
        };
        Self {
            country: open("CountryDatabase", &options.country_database),
            asn: open("AsnDatabase", &options.asn_database),
        }
    }
}

/// A database in memory.
#[derive(Debug)]
struct Database {
    /// The configuration key of its path.
    key: &'static str,
    path: PathBuf,
    reader: Reader<Vec<u8>>,
    /// Logs the first lookup that fails.
    damage: Once,
}

impl Database {
    fn open(key: &'static str, path: &Path) -> Result<Self, GeoIpError> {
        // O_NONBLOCK: if the path leads to a pipe, opening it must not block.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(GeoIpError::Read)?;
        let metadata = file.metadata().map_err(GeoIpError::Read)?;
        if !metadata.is_file() {
            return Err(GeoIpError::NotRegular);
        }
        // Before memory is taken for it.
        if metadata.len() > DATABASE_BYTES_MAX {
            return Err(GeoIpError::TooLarge);
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed shows that a file is too large.
        file.take(DATABASE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(GeoIpError::Read)?;
        if bytes.len() as u64 > DATABASE_BYTES_MAX {
            return Err(GeoIpError::TooLarge);
        }
        let reader = Reader::from_source(bytes).map_err(GeoIpError::Damaged)?;
        Ok(Self { key, path: path.to_owned(), reader, damage: Once::new() })
    }

    /// Returns the value at this path of keys in the data of an address; `None` if there is none, or if the database is
    /// damaged there.
    fn at<'a, T: Deserialize<'a>>(&'a self, address: IpAddr, keys: &[&str]) -> Option<T> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let keys: Vec<_> = keys.iter().map(|key| PathElement::Key(key)).collect();
        let found = self.reader.lookup(address).and_then(|found| found.decode_path(&keys));
        found.unwrap_or_else(|error| {
            self.damage.call_once(|| log_unusable(self.key, &self.path, &GeoIpError::Damaged(error)));
            None
        })
    }
}

/// Maximum size of a file in bytes; GeoLite2 City has 60 MB.
const DATABASE_BYTES_MAX: u64 = 200_000_000;

/// Maximum number of characters of an organization; further ones are cut off.
pub(super) const ORGANIZATION_CHARS_MAX: usize = 100;

/// Why a database is not used.
#[derive(Debug, thiserror::Error)]
enum GeoIpError {
    #[error("{0}: {remedy}", remedy = remedy(.0))]
    Read(#[source] io::Error),
    #[error("it is no regular file: give the path of an .mmdb file")]
    NotRegular,
    #[error("it has more than 200 MB: give one of countries or autonomous systems alone")]
    TooLarge,
    #[error("{0}: it is damaged or no such database: download it again, then reload")]
    Damaged(#[source] MaxMindDbError),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "put it there, then reload",
        ErrorKind::PermissionDenied => "let the user that runs TrafficAlerted read it and its folders",
        _ => "see what the system's log says of the disk",
    }
}

fn log_unusable(key: &str, path: &Path, error: &GeoIpError) {
    warn!("{key}: cannot use {}: {error}; alerts go without it", path.display());
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns the name of an organization without control characters, with its other hidden characters escaped.
fn plain(organization: &str) -> String {
    let shown: String =
        organization.chars().filter(|c| !c.is_control()).take(ORGANIZATION_CHARS_MAX).collect();
    Escaped::text(&shown).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use proptest::prelude::*;

    use super::*;
    use crate::escape::is_hidden;

    const KNOWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn of(country: &[u8], asn: &[u8], address: IpAddr) -> GeoIpRecord {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).expect("it is ours");
            Some(path)
        };
        let options = GeoIpOptions {
            country_database: write("country.mmdb", country),
            asn_database: write("asn.mmdb", asn),
        };
        GeoIp::read(options).of(address)
    }

    fn databases(iso_code: &str, organization: &str) -> [Vec<u8>; 2] {
        [sample::country(iso_code), sample::asn(64_500, organization)].map(|data| sample::database(&data))
    }

    #[test]
    fn an_address_has_the_record_of_its_network_and_others_have_none() {
        let [country, asn] = databases("NL", "Example");
        let example = GeoIpRecord {
            country: Some("NL".to_owned()),
            asn: Some(64_500),
            as_organization: Some("Example".to_owned()),
        };
        let cases = [
            ("192.0.2.0", example.clone()),
            ("192.0.2.255", example.clone()),
            ("::ffff:192.0.2.1", example),
            ("192.0.3.0", GeoIpRecord::default()),
            ("192.0.1.255", GeoIpRecord::default()),
            ("10.0.0.5", GeoIpRecord::default()),
            ("fd00::1", GeoIpRecord::default()),
        ];
        for (address, want) in cases {
            assert_eq!(of(&country, &asn, address.parse().expect("an address")), want, "{address}");
        }
        // Each database is in the place of the other.
        assert_eq!(of(&asn, &country, KNOWN), GeoIpRecord::default());
    }

    #[test]
    fn malformed_codes_and_control_characters_are_left_out() {
        for code in ["", "N", "nl", "NLD", "N\"", "é"] {
            let [country, asn] = databases(code, "a\nb\u{1b}c");
            let found = of(&country, &asn, KNOWN);
            assert_eq!((found.country, found.as_organization.as_deref()), (None, Some("abc")), "{code:?}");
        }
        let [country, asn] = databases("NL", "Example\u{202e}moc.\u{200b}");
        let organization = of(&country, &asn, KNOWN).as_organization;
        assert_eq!(organization.as_deref(), Some(r"Example\u{202e}moc.\u{200b}"));
        let [country, asn] = databases("NL", &"x".repeat(200));
        let organization = of(&country, &asn, KNOWN).as_organization.expect("it has one");
        assert_eq!(organization.len(), ORGANIZATION_CHARS_MAX);
    }

    #[test]
    fn a_file_that_is_not_a_database_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("text"), "no database").expect("it is ours");
        fs::write(at("empty"), "").expect("it is ours");
        let large = File::create(at("large")).expect("it is ours");
        large.set_len(DATABASE_BYTES_MAX + 1).expect("it is ours, and is one hole");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("it is ours");
        let cases = [
            ("none", "put it there"),
            ("text", "download it again"),
            ("empty", "download it again"),
            ("large", "more than 200 MB"),
            ("pipe", "no regular file"),
            (".", "no regular file"),
        ];
        for (name, remedy) in cases {
            let error = Database::open("CountryDatabase", &at(name)).expect_err("it is not a database");
            assert!(error.to_string().contains(remedy), "{name}: {error}");
        }
    }

    #[test]
    fn a_replaced_file_is_used_once_it_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("country.mmdb");
        let write = |bytes: &[u8]| fs::write(&path, bytes).expect("it is ours");
        let [first, _] = databases("NL", "");
        let [second, _] = databases("BE", "");
        write(&first);
        let geoip = GeoIp::read(GeoIpOptions { country_database: Some(path.clone()), asn_database: None });
        let sink = geoip.clone();
        let country = || sink.of(KNOWN).country;
        write(&second);
        assert_eq!(country().as_deref(), Some("NL"));
        geoip.read_again(&[]);
        assert_eq!(country().as_deref(), Some("BE"));
        write(&second[..100]);
        geoip.read_again(&[]);
        assert_eq!(country(), None);
    }

    proptest! {
        /// A panic would end the program, and a download may be incomplete.
        #[test]
        fn a_damaged_file_gives_well_formed_data_or_none(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            end in any::<prop::sample::Index>(),
            is_cut in any::<bool>(),
        ) {
            let damaged = databases("NL", "Example").map(|mut bytes| {
                changes.iter().for_each(|(at, byte)| {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                });
                if is_cut {
                    bytes.truncate(end.index(bytes.len()));
                }
                bytes
            });
            let [country, asn] = &damaged;
            let found = of(country, asn, KNOWN);
            prop_assert!(found.country.iter().all(|code| is_country(code)), "{found:?}");
            prop_assert!(!found.as_organization.iter().any(|text| text.contains(is_hidden)), "{found:?}");
        }
    }
}
