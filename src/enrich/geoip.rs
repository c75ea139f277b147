//! Where the host that an alert is about comes from: its country and its autonomous system, out of files in MaxMind's
//! format (maxmind.github.io/MaxMind-DB), such as GeoLite2's and DB-IP's.
//!
//! A file is read whole, when the sinks start and when the configuration is read again, and never mapped: whoever
//! replaces it may cut it short first, and to read a page that is gone ends the program. A lookup asks memory alone.
//! Without a file that can be used alerts go without what it says, and that is said once.
//!
//! What a file says is taken only in its form: two letters, a number, a text without control characters.

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

use crate::published::Published;

use super::host_details::HostDetails;

/// The files, each if it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct GeoIpOptions {
    /// Countries by address.
    pub country_database: Option<PathBuf>,
    /// Autonomous systems by address.
    pub asn_database: Option<PathBuf>,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct GeoIpRecord {
    country: Option<String>,
    asn: Option<u32>,
    as_organization: Option<String>,
}

impl GeoIpRecord {
    /// The same, beside the name that the address has.
    pub(crate) fn details<'a>(&'a self, name: Option<&'a str>) -> HostDetails<'a> {
        let (country, as_organization) = (self.country.as_deref(), self.as_organization.as_deref());
        HostDetails { name, country, asn: self.asn, as_organization }
    }
}

/// The files as they were when they were read last. Its clones are the same.
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

/// Those of no file: nobody's origin is known.
impl Default for GeoIp {
    fn default() -> Self {
        Self::read(GeoIpOptions::default())
    }
}

impl GeoIp {
    /// Reads the files. What cannot be used is said, and missing from then on.
    pub fn read(options: GeoIpOptions) -> Self {
        let databases = Arc::new(Published::new(Databases::read(&options)));
        Self { options, databases }
    }

    /// Reads the files again, since they may be others. Whoever looks something up meanwhile has the ones before.
    pub fn read_again(&self) {
        self.databases.publish(Databases::read(&self.options));
    }

    /// What is known of an address.
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
    fn read(options: &GeoIpOptions) -> Self {
        let open = |key, path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            let opened = Database::open(key, path);
            opened.map_err(|error| say(key, path, &error)).ok()
        };
        Self {
            country: open("CountryDatabase", &options.country_database),
            asn: open("AsnDatabase", &options.asn_database),
        }
    }
}

/// A file in memory.
#[derive(Debug)]
struct Database {
    /// The key that names it.
    key: &'static str,
    path: PathBuf,
    reader: Reader<Vec<u8>>,
    /// That a lookup has failed is said once.
    damage: Once,
}

impl Database {
    fn open(key: &'static str, path: &Path) -> Result<Self, GeoIpError> {
        // Not to wait for the other end of what turns out to be a pipe.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(GeoIpError::Read)?;
        if !file.metadata().map_err(GeoIpError::Read)?.is_file() {
            return Err(GeoIpError::NotRegular);
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed tells a file that is too large.
        file.take(DATABASE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(GeoIpError::Read)?;
        if bytes.len() as u64 > DATABASE_BYTES_MAX {
            return Err(GeoIpError::TooLarge);
        }
        let reader = Reader::from_source(bytes).map_err(GeoIpError::Damaged)?;
        Ok(Self { key, path: path.to_owned(), reader, damage: Once::new() })
    }

    /// What stands below these keys for an address; `None` as well where the file turns out to be damaged.
    fn at<'a, T: Deserialize<'a>>(&'a self, address: IpAddr, keys: &[&str]) -> Option<T> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let keys: Vec<_> = keys.iter().map(|key| PathElement::Key(key)).collect();
        let found = self.reader.lookup(address).and_then(|found| found.decode_path(&keys));
        found.unwrap_or_else(|error| {
            self.damage.call_once(|| say(self.key, &self.path, &GeoIpError::Damaged(error)));
            None
        })
    }
}

/// Bytes that a file may have; GeoLite2's cities have 60 MB.
const DATABASE_BYTES_MAX: u64 = 200_000_000;

/// Characters of an organization that are taken.
const ORGANIZATION_CHARS_MAX: usize = 100;

/// Why a file is not used.
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

fn say(key: &str, path: &Path, error: &GeoIpError) {
    warn!("{key}: cannot use {}: {error}; alerts go without it", path.display());
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn plain(organization: &str) -> String {
    organization.chars().filter(|c| !c.is_control()).take(ORGANIZATION_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use proptest::prelude::*;

    use super::*;

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
    fn an_address_has_the_origin_of_its_network_and_others_have_none() {
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
        // Each in the place of the other.
        assert_eq!(of(&asn, &country, KNOWN), GeoIpRecord::default());
    }

    #[test]
    fn what_is_no_code_and_what_no_line_can_hold_is_left_out() {
        for code in ["", "N", "nl", "NLD", "N\"", "é"] {
            let [country, asn] = databases(code, "a\nb\u{1b}c");
            let found = of(&country, &asn, KNOWN);
            assert_eq!((found.country, found.as_organization.as_deref()), (None, Some("abc")), "{code:?}");
        }
        let [country, asn] = databases("NL", &"x".repeat(200));
        let organization = of(&country, &asn, KNOWN).as_organization.expect("it has one");
        assert_eq!(organization.len(), ORGANIZATION_CHARS_MAX);
    }

    #[test]
    fn what_is_no_database_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("text"), "no database").expect("it is ours");
        fs::write(at("empty"), "").expect("it is ours");
        let large = File::create(at("large")).expect("it is ours");
        large.set_len(DATABASE_BYTES_MAX + 1).expect("it is ours, and has holes only");
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
            let error = Database::open("CountryDatabase", &at(name)).expect_err("it is no database");
            assert!(error.to_string().contains(remedy), "{name}: {error}");
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_in_force_once_it_is_read_again() {
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
        geoip.read_again();
        assert_eq!(country().as_deref(), Some("BE"));
        write(&second[..100]);
        geoip.read_again();
        assert_eq!(country(), None);
    }

    proptest! {
        /// A panic would end the program, and a download may end in the middle.
        #[test]
        fn a_damaged_file_says_what_has_the_right_form_or_nothing(
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
            prop_assert!(found.as_organization.iter().all(|text| *text == plain(text)), "{found:?}");
        }
    }
}
