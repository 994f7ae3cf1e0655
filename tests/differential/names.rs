//! Names and addresses: those of every suffix rule, and broken ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use certgate::core::{
    host::{Host, HostError, NotPublic},
    verdict::reserved,
};
use fastrand::Rng;
use serde_json::json;

use crate::{classes::Classes, oracle::Oracle};

const BATCH: usize = 5_000;

/// How certgate judges a name; `Ok`: it would order.
fn ours(name: &str) -> Result<(), String> {
    let host = Host::parse(name).map_err(|error: HostError| format!("{error:?}"))?;
    host.public().map_err(|error: NotPublic| format!("{error:?}"))
}

fn label(rng: &mut Rng) -> String {
    const WHOLE: &[&str] = &[
        "",
        "-",
        "a-",
        "-a",
        "a_b",
        "xn--",
        "xn--a",
        "xn--z-e17g",
        "xn--fsqu00a",
        "xn--wgbh1c",
        "xn--999999b",
        "ab--cd",
        "xn--ab-",
        "7eleven",
        "3d",
        "127",
        "0x7f",
        "XN--FSQU00A",
        "xn--mgba3a4f16a",
        "xn--80ak6aa92e",
        "a*",
        "*",
    ];
    match rng.u8(0..10) {
        0..=2 => (*rng.choice(WHOLE).unwrap()).to_owned(),
        3 => "x".repeat(rng.usize(60..66)),
        4 => format!(
            "xn--{}",
            (0..rng.usize(1..12)).map(|_| rng.choice(*b"abc019-z").unwrap() as char).collect::<String>()
        ),
        _ => (0..rng.usize(1..8)).map(|_| rng.choice(*b"abcz019-").unwrap() as char).collect(),
    }
}

fn random(rng: &mut Rng, suffixes: &[String]) -> String {
    let mut labels: Vec<String> = (0..rng.usize(1..12)).map(|_| label(rng)).collect();
    if rng.u8(0..5) > 0 {
        labels.push(rng.choice(suffixes).unwrap().clone());
    }
    if rng.u8(0..6) == 0 {
        labels.insert(0, "*".to_owned());
    }
    let mut name = labels.join(".");
    if rng.u8(0..40) == 0 {
        name.push('.');
    }
    name
}

pub(crate) fn compare(oracle: &mut Oracle, seed: u64, classes: &mut Classes) {
    let mut rng = Rng::with_seed(seed);
    let suffixes: Vec<String> = oracle.ask(&json!({"suffixes": true}));
    assert!(suffixes.len() > 9_000, "{}", suffixes.len());
    let mut names = Vec::new();
    for suffix in &suffixes {
        names.extend([suffix.clone(), format!("shop.{suffix}"), format!("*.{suffix}"), format!("a.b.{suffix}")]);
    }
    names.extend((0..60_000).map(|_| random(&mut rng, &suffixes)));
    for length in [252, 253, 254, 255] {
        let name = format!("{}com", "a1.".repeat(length)).chars().rev().take(length).collect::<String>();
        let name: String = name.chars().rev().collect();
        names.extend([format!("*.{name}"), name]);
    }
    for batch in names.chunks(BATCH) {
        let theirs: Vec<String> = oracle.ask(&json!({"names": batch}));
        for (name, theirs) in batch.iter().zip(theirs) {
            // Hosts reach certgate in lower case and without a final dot, or are brought to that.
            match (ours(name), theirs.as_str()) {
                (Ok(()), "") | (Err(_), _) if theirs.is_empty() == ours(name).is_ok() => classes.same(),
                (Ok(()), _) if name.ends_with('.') || name.bytes().any(|b| b.is_ascii_uppercase()) => classes.same(),
                (Ok(()), why) => classes.differs(format!("false order: {why}"), || name.clone()),
                (Err(why), "") => classes.differs(format!("false hold: {why}"), || name.clone()),
                (Err(_), _) => classes.same(),
            }
        }
    }
}

/// Every block of the registries has its borders tried, and the whole space is sampled.
pub(crate) fn compare_addresses(oracle: &mut Oracle, seed: u64, classes: &mut Classes) {
    let mut rng = Rng::with_seed(seed);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for high in 0..=u16::MAX {
        let near = u32::from(high) << 16;
        addresses.push(Ipv4Addr::from(near).into());
        addresses.push(Ipv4Addr::from(near | rng.u32(0..=0xffff)).into());
    }
    for _ in 0..80_000 {
        let bits = match rng.u8(0..4) {
            0 => rng.u128(..),
            // Where most of the registry's blocks are.
            1 => (0x2001_u128 << 112) | (rng.u128(..) >> 16 >> rng.u32(0..80)),
            2 => {
                (u128::from(
                    rng.choice([0x2002_u16, 0xfc00, 0xfe80, 0xff00, 0x0064, 0x0100, 0x3fff, 0x5f00, 0x2620]).unwrap(),
                ) << 112)
                    | (rng.u128(..) >> rng.u32(16..120))
            }
            _ => rng.u128(..) >> rng.u32(0..128),
        };
        addresses.push(Ipv6Addr::from(bits).into());
    }
    for batch in addresses.chunks(BATCH) {
        let theirs: Vec<String> = oracle.ask(&json!({"addresses": batch}));
        for (address, theirs) in batch.iter().zip(theirs) {
            match (reserved(*address), theirs.as_str()) {
                (None, "") => classes.same(),
                (None, why) => classes.differs(format!("false order: {why}"), || address.to_string()),
                (Some(_), "") => classes.differs("false hold: reserved", || address.to_string()),
                (Some(_), _) => classes.same(),
            }
        }
    }
}
