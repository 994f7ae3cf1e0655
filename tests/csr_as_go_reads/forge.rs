//! Requests as a developer makes them, as a forger might, and broken ones.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fastrand::Rng;
use rcgen::PublicKeyData as _;

pub(crate) const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
pub(crate) const MICROSOFT_EXTENSION_REQUEST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0e];
pub(crate) const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

const NAMES: &[&str] = &[
    "dead.example.com",
    "WWW.Example.COM",
    "*.example.com",
    "xn--fsqu00a.xn--0zwm56d",
    "a.example.com.",
    " a.example.com",
    "a_b.example.com",
    "localhost",
    "192.0.2.1",
    "",
    "a.example.com\0.example.net",
    "My Shop",
];

/// One element of DER.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..128 => out.push(short as u8),
        long => {
            let octets = long.to_be_bytes();
            let octets = &octets[octets.iter().position(|o| *o != 0).unwrap()..];
            out.push(0x80 | octets.len() as u8);
            out.extend(octets);
        }
    }
    out.extend(content);
    out
}

pub(crate) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &elements.concat())
}

pub(crate) fn dns(name: &str) -> Vec<u8> {
    tlv(0x82, name.as_bytes())
}

pub(crate) fn extension(kind: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[tlv(6, kind), tlv(4, value)])
}

/// A `subjectAltName` of these names.
pub(crate) fn alternative_names(names: &[u8]) -> Vec<u8> {
    extension(ALTERNATIVE_NAME, &tlv(0x30, names))
}

pub(crate) fn attribute(kind: &[u8], values: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[tlv(6, kind), tlv(0x31, &values.concat())])
}

pub(crate) fn pem(der: &[u8]) -> String {
    let lines: Vec<String> =
        STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", lines.join("\n"))
}

pub(crate) fn encode(pem: impl AsRef<[u8]>) -> String {
    STANDARD.encode(pem)
}

/// Makes them up.
pub(crate) struct Forge {
    rng: Rng,
    key: Vec<u8>,
}

impl Forge {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { rng, key: rcgen::KeyPair::generate().unwrap().subject_public_key_info() }
    }

    /// A request with that subject and those attributes. Nobody looks at its signature before it is approved.
    pub(crate) fn csr(&self, subject: &[u8], attributes: &[u8]) -> Vec<u8> {
        let info = sequence(&[tlv(2, &[0]), subject.to_vec(), self.key.clone(), tlv(0xa0, attributes)]);
        sequence(&[info, sequence(&[tlv(6, ECDSA_WITH_SHA256)]), tlv(3, &[0, 0x30, 0])])
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn pick(&mut self) -> &'static str {
        // Most names are good ones.
        let most = if self.one_in(3) { NAMES.len() } else { 4 };
        NAMES[self.rng.usize(..most)]
    }

    fn subject(&mut self) -> Vec<u8> {
        let sets = (0..self.rng.usize(..3)).map(|_| {
            let pairs: Vec<u8> = (0..1 + usize::from(self.one_in(5)))
                .flat_map(|_| {
                    let kind = if self.one_in(3) { ORGANIZATION } else { COMMON_NAME };
                    let text = self.pick();
                    let value = match self.rng.u8(..12) {
                        0 => tlv(0x16, text.as_bytes()),
                        1 => tlv(0x14, text.as_bytes()),
                        2 => tlv(0x1e, &text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()),
                        3 => tlv(0x13, b"dead.example.com"),
                        4 => tlv([0x1a, 0x1b, 0x1c, 0x12, 0x04, 0x2c, 0x8c][self.rng.usize(..7)], text.as_bytes()),
                        _ => tlv(0x0c, text.as_bytes()),
                    };
                    let more = if self.one_in(60) { tlv(0x0c, b"more") } else { Vec::new() };
                    sequence(&[tlv(6, kind), value, more])
                })
                .collect();
            tlv(0x31, &pairs)
        });
        let sets: Vec<Vec<u8>> = sets.collect();
        sequence(&sets)
    }

    fn name(&mut self) -> Vec<u8> {
        match self.rng.u8(..20) {
            0 => tlv(0x87, &[192, 0, 2, 1]),
            1 => tlv(0x87, &[0; 16]),
            2 => tlv(0x81, b"a@example.com"),
            3 => tlv(0x86, b"https://example.com/"),
            4 => tlv(0xa0, &[tlv(6, &[0x2b, 1]), tlv(0xa0, &tlv(0x0c, b"dead.example.com"))].concat()),
            5 => tlv([0xa2, 0x02, 0x42, 0x88, 0xa4, 0x9f, 0xc2, 0x89][self.rng.usize(..8)], b"dead.example.com"),
            6 if self.one_in(4) => tlv(0x82, b"d\xe9ad.example.com"),
            7 if self.one_in(4) => tlv(0x87, &[1, 2, 3]),
            _ => dns(self.pick()),
        }
    }

    fn extensions(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        if self.rng.bool() {
            all.push(extension(KEY_USAGE, &[3, 2, 7, 0x80]));
        }
        if !self.one_in(4) {
            all.push(self.names());
        }
        if self.one_in(20) {
            all.push(self.names());
        }
        sequence(&all)
    }

    fn names(&mut self) -> Vec<u8> {
        let names: Vec<u8> = (0..self.rng.usize(..4)).flat_map(|_| self.name()).collect();
        let mut value = tlv(0x30, &names);
        if self.one_in(40) {
            value.extend(tlv(0x30, &dns("dead.example.com")));
        }
        let critical = match self.rng.u8(..6) {
            0 => tlv(1, &[0xff]),
            1 => tlv(1, &[0]),
            2 if self.one_in(10) => tlv(1, &[1]),
            _ => Vec::new(),
        };
        let more = if self.one_in(60) { tlv(4, &tlv(0x30, &dns("dead.example.com"))) } else { Vec::new() };
        sequence(&[tlv(6, ALTERNATIVE_NAME), critical, tlv(4, &value), more])
    }

    fn attribute(&mut self) -> Vec<u8> {
        match self.rng.u8(..20) {
            0 => attribute(CHALLENGE_PASSWORD, &[tlv(0x13, b"secret")]),
            1 => attribute(MICROSOFT_EXTENSION_REQUEST, &[self.extensions()]),
            2 => attribute(EXTENSION_REQUEST, &[self.extensions(), self.extensions()]),
            3 if self.one_in(3) => attribute(EXTENSION_REQUEST, &[]),
            4 if self.one_in(3) => sequence(&[tlv(6, EXTENSION_REQUEST), self.extensions()]),
            5 if self.one_in(3) => {
                sequence(&[tlv(6, EXTENSION_REQUEST), tlv(0x31, &self.extensions()), tlv(0x31, &self.extensions())])
            }
            _ => attribute(EXTENSION_REQUEST, &[self.extensions()]),
        }
    }

    fn der(&mut self) -> Vec<u8> {
        let subject = self.subject();
        let count = 1 + usize::from(self.one_in(3));
        let attributes: Vec<u8> = (0..count).flat_map(|_| self.attribute()).collect();
        match self.rng.u8(..60) {
            // Two sets of attributes, none, and more behind the request.
            0 => {
                let other = self.attribute();
                let info =
                    sequence(&[tlv(2, &[0]), subject, self.key.clone(), tlv(0xa0, &attributes), tlv(0xa0, &other)]);
                sequence(&[info, sequence(&[tlv(6, ECDSA_WITH_SHA256)]), tlv(3, &[0, 0x30, 0])])
            }
            1 => {
                let info = sequence(&[tlv(2, &[0]), subject, self.key.clone()]);
                sequence(&[info, sequence(&[tlv(6, ECDSA_WITH_SHA256)]), tlv(3, &[0, 0x30, 0])])
            }
            2 => [self.csr(&subject, &attributes), self.csr(&subject, &[])].concat(),
            3 => indefinite(&self.csr(&subject, &attributes)),
            _ => self.csr(&subject, &attributes),
        }
    }

    /// A request as people make them, in a form that Go takes.
    pub(crate) fn ordinary(&mut self) -> String {
        let names: Vec<u8> = (0..self.rng.usize(1..5)).flat_map(|_| dns(NAMES[self.rng.usize(..4)])).collect();
        let common = sequence(&[tlv(6, COMMON_NAME), tlv(0x0c, NAMES[self.rng.usize(..4)].as_bytes())]);
        let subject = if self.rng.bool() { tlv(0x30, &tlv(0x31, &common)) } else { tlv(0x30, b"") };
        let asked = attribute(
            EXTENSION_REQUEST,
            &[sequence(&[extension(KEY_USAGE, &[3, 2, 7, 0x80]), alternative_names(&names)])],
        );
        let password = attribute(CHALLENGE_PASSWORD, &[tlv(0x13, b"secret")]);
        let attributes = if self.rng.bool() { asked } else { [password, asked].concat() };
        let pem = pem(&self.csr(&subject, &attributes));
        match self.rng.u8(..7) {
            0 => encode(pem.replace('\n', "\r\n")),
            1 => encode(format!("Certificate Request:\n    Data:\n{pem}")),
            2 => encode(format!("{pem}\n\n")),
            3 => encode(pem.trim_end()),
            4 => encode(pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")),
            5 => encode(pem.replacen("-----\n", "-----\nComment: by hand\n\n", 1)),
            _ => encode(pem),
        }
    }

    /// Any request.
    pub(crate) fn request(&mut self) -> String {
        let mut der = self.der();
        if self.one_in(4) {
            for _ in 0..self.rng.usize(1..4) {
                self.mutate(&mut der);
            }
        }
        let mut text = self.dress(pem(&der)).into_bytes();
        if self.one_in(12) {
            self.mutate(&mut text);
        }
        let mut request = encode(text);
        match self.rng.u8(..40) {
            0 => request.insert(self.rng.usize(..=request.len()), '\n'),
            1 => request.insert_str(self.rng.usize(..=request.len()), "\r\n"),
            2 => {
                request.insert(self.rng.usize(..=request.len()), [' ', '\t', '-', '_', '=', '\0'][self.rng.usize(..6)])
            }
            3 => request = request.replace('=', ""),
            4 => request.push_str("===="),
            5 => request.truncate(self.rng.usize(..=request.len())),
            6 => request.push_str(&request.clone()),
            // The bits that padding leaves over.
            7 => request = request.replace("o=", "p=").replace("g==", "h=="),
            _ => {}
        }
        request
    }

    /// A PEM as somebody may hand it in.
    fn dress(&mut self, pem: String) -> String {
        match self.rng.u8(..40) {
            0 => format!("words\n{pem}"),
            1 => format!("words{pem}"),
            2 => pem.replace('\n', "\r\n"),
            3 => format!("{pem}{}", self::pem(&self.der())),
            4 => format!("-----BEGIN CERTIFICATE REQUEST-----\n{pem}"),
            5 => format!("-----END CERTIFICATE REQUEST-----\n{pem}"),
            6 => pem.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n", 1),
            7 => pem.replacen("-----\n", "----- \t\n", 1 + self.rng.usize(..2)),
            8 => pem.replace("CERTIFICATE REQUEST", ["", "A:B", " ", "X-----"][self.rng.usize(..4)]),
            9 => pem.replacen("END CERTIFICATE", "END OTHER", 1),
            10 => pem.replace("-----END", "\n\n-----END"),
            11 => pem.replace("\n-----END", "-----END"),
            12 => format!("-----BEGIN A-----\nAAAA\n-----END B-----\n{pem}"),
            13 => pem.replacen('M', " M\t", 1),
            14 => pem.trim_end().to_owned(),
            15 => format!("{}x", pem.trim_end()),
            16 => pem.replace("-----\n", "-----\r\r\n"),
            17 => pem.replace('\n', "\r"),
            _ => pem,
        }
    }

    fn mutate(&mut self, octets: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let at = self.rng.usize(..octets.len());
        let until = self.rng.usize(at..=octets.len().min(at + 24));
        match self.rng.u8(..5) {
            0 => octets[at] ^= 1 << self.rng.u8(..8),
            1 => drop(octets.drain(at..until)),
            2 => {
                let piece = octets[at..until].to_vec();
                let to = self.rng.usize(..=octets.len());
                octets.splice(to..to, piece);
            }
            3 => octets[at] = self.rng.u8(..),
            _ => octets.insert(at, self.rng.u8(..)),
        }
    }
}

/// The same request with an outer length that only BER knows.
fn indefinite(der: &[u8]) -> Vec<u8> {
    let header = 2 + usize::from(if der[1] & 0x80 == 0 { 0 } else { der[1] & 0x7f });
    [&[0x30, 0x80][..], &der[header..], &[0, 0]].concat()
}
