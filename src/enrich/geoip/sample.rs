//! Databases for tests, in the format that MaxMind describes, version 2.0 (maxmind.github.io/MaxMind-DB): a search
//! tree, 16 zeros, the data section, a marker, and the metadata.

/// Returns a database with this data for 192.0.2.0/24 and no data for other addresses.
pub(crate) fn database(data: &[u8]) -> Vec<u8> {
    let network: [u8; 3] = [192, 0, 2];
    let bits: Vec<bool> =
        network.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    // A record that equals the number of nodes means no data; one that is larger by n + 16 points to byte n of the
    // data.
    let nodes = u32::try_from(bits.len()).expect("24 bits");
    let mut file = Vec::new();
    for (node, is_right) in (0..).zip(bits) {
        let inside = if node + 1 == nodes { nodes + 16 } else { node + 1 };
        for record in if is_right { [nodes, inside] } else { [inside, nodes] } {
            file.extend_from_slice(&record.to_be_bytes()[1..]);
        }
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", unsigned_16(2)),
        ("binary_format_minor_version", unsigned_16(0)),
        // The next two are an unsigned integer of 64 bits and an array. These are extended types, whose number is in
        // the second byte.
        ("build_epoch", vec![0, 9 - 7]),
        ("languages", vec![0, 11 - 7]),
        ("database_type", text("Test")),
        ("description", map(&[])),
        ("ip_version", unsigned_16(4)),
        ("node_count", unsigned_32(nodes)),
        ("record_size", unsigned_16(24)),
    ]));
    file
}

/// Returns the data of an address in a database of countries.
pub(crate) fn country(iso_code: &str) -> Vec<u8> {
    map(&[("country", map(&[("iso_code", text(iso_code))]))])
}

/// Returns the data of an address in a database of autonomous systems.
pub(crate) fn asn(number: u32, organization: &str) -> Vec<u8> {
    map(&[
        ("autonomous_system_number", unsigned_32(number)),
        ("autonomous_system_organization", text(organization)),
    ])
}

/// Returns a control byte: the type in the upper three bits, then the size; a size of 29 or more continues in the next
/// byte.
fn head(kind: u8, size: usize) -> Vec<u8> {
    let byte = |size| u8::try_from(size).expect("no data of a test is longer");
    if size < 29 { vec![kind << 5 | byte(size)] } else { vec![kind << 5 | 29, byte(size - 29)] }
}

fn text(text: &str) -> Vec<u8> {
    [head(2, text.len()), text.as_bytes().to_vec()].concat()
}

fn unsigned_16(number: u16) -> Vec<u8> {
    [head(5, 2), number.to_be_bytes().to_vec()].concat()
}

fn unsigned_32(number: u32) -> Vec<u8> {
    [head(6, 4), number.to_be_bytes().to_vec()].concat()
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut all = head(7, entries.len());
    for (key, value) in entries {
        all.extend(text(key));
        all.extend_from_slice(value);
    }
    all
}
