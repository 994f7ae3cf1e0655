use super::*;

fn encode(pem: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(pem)
}

fn pem(names: &[&str], common_name: Option<&str>) -> String {
    let mut params = rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn request(names: &[&str], common_name: Option<&str>) -> String {
    encode(pem(names, common_name))
}

fn texts(found: &CsrNames) -> Vec<&str> {
    found.hosts.iter().map(Host::as_str).collect()
}

#[test]
fn alternative_names_and_a_common_name_that_is_a_host_are_found() {
    let found = names(&request(&["b.example.com", "*.example.com", "B.Example.com"], Some("a.example.com"))).unwrap();
    assert_eq!(texts(&found), ["*.example.com", "a.example.com", "b.example.com"]);
    assert!(!found.others && found.invalid.is_empty());
    assert_eq!(texts(&names(&request(&["b.example.com"], Some("My Shop"))).unwrap()), ["b.example.com"]);
}

#[test]
fn a_name_that_nobody_else_would_mend_is_none() {
    for name in [" a.example.com", "a.example.com.", "a..example.com", "192.0.2.1 ", ""] {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
        let key = rcgen::KeyPair::generate().unwrap();
        let found = names(&encode(params.serialize_request(&key).unwrap().pem().unwrap())).unwrap();
        assert!(found.hosts.is_empty() && found.invalid.len() == 1, "{name:?}: {found:?}");
    }
}

#[test]
fn addresses_are_names_of_another_kind() {
    let found = names(&request(&["192.0.2.1"], None)).unwrap();
    assert!(found.hosts.is_empty() && found.others);
}

#[test]
fn garbage_is_told_from_names() {
    assert_eq!(names(""), Err(CsrError::Malformed));
    assert_eq!(names("%%%"), Err(CsrError::Malformed));
    assert_eq!(names(&"A".repeat(MAX_CSR_OCTETS + 1)), Err(CsrError::TooLarge));
    let whole = request(&["a.example.com"], None);
    for cut in 0..whole.len() {
        // Never a panic. Only the end of the PEM's last line may be cut off unnoticed.
        assert!(names(&whole[..cut]).is_err() || cut + 8 > whole.len(), "{cut}");
    }
}

#[test]
fn what_go_reads_of_a_pem_is_read() {
    let pem = pem(&["a.example.com"], None);
    let lines = encode(&pem).as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c).into_owned()).collect::<Vec<_>>();
    for odd in [
        encode(format!("Certificate Request:\n    Data: {{\n{pem}")),
        encode(pem.replace('\n', "\r\n")),
        encode(pem.replace("-----\n", "-----  \t\n")),
        encode(pem.trim_end()),
        encode(format!("{pem}\n\ntrailing words")),
        encode(pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")),
        encode(pem.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n", 1)),
        encode(pem.replacen("MII", " M\tI\nI", 1)),
        lines.join("\n"),
        lines.join("\r\n"),
    ] {
        assert_eq!(names(&odd).as_ref().map(texts).unwrap(), ["a.example.com"], "{odd}");
    }
}

#[test]
fn what_go_does_not_read_of_a_pem_or_not_always_is_not_read() {
    let pem = pem(&["a.example.com"], None);
    let several = Err(CsrError::Ambiguous("it holds more than one PEM block"));
    for (odd, expected) in [
        (encode(format!("{pem}{pem}")), several.clone()),
        (encode(format!("-----BEGIN CERTIFICATE REQUEST-----\n{pem}")), several),
        (encode(format!("x{pem}")), Err(CsrError::Malformed)),
        (encode(pem.replacen("-----\n", "-----x\n", 1)), Err(CsrError::Malformed)),
        (encode(pem.replace("END CERTIFICATE", "END CERTIFICATES")), Err(CsrError::Malformed)),
        (encode(pem.replacen("MII", "M-II", 1)), Err(CsrError::Malformed)),
        (encode("-----BEGIN A-----\n-----END A-----\n"), Err(CsrError::Malformed)),
        (encode("-----BEGIN A:B-----\n-----END A:B-----\n"), Err(CsrError::Malformed)),
        (encode(pem.replace("-----\n", "-----\r\r\n")), Err(CsrError::Malformed)),
        (encode(&pem).replace('=', ""), Err(CsrError::Malformed)),
        (format!(" {}", encode(&pem)), Err(CsrError::Malformed)),
    ] {
        // A PEM whose length is a multiple of three has no padding to lose.
        if odd == encode(&pem) {
            continue;
        }
        assert_eq!(names(&odd), expected, "{odd}");
    }
}
