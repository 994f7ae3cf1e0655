//! The cases of the second table: a companion Ingress beside the real one.

use serde_json::{Value, json};

use super::{
    fixtures::{SECRET, WWW, companion, issue, rule, secret, with_tls},
    gateway::{Crash, Order},
    scenarios::Run,
    table::Row,
};

/// Plays the case and says what differs from what was seen.
pub(crate) fn check(row: &Row, order: Order) -> Result<(), String> {
    let plain = companion("companion", WWW, SECRET);
    match row.case.as_str() {
        "real Ingress with tls (other secretName) + companion; Secret created ⇒ **companion touched** ⇒ Secret renewed ⇒ companion touched" => {
            stages_fit(&row.seen, &play(&plain, order)?)
        }
        "companion's `defaultBackend.service` names a Service that does not exist, or the application's" => {
            same("no server for it, no harm, same result", &row.seen)?;
            for service in ["there-is-none", "shop-web-1-5000out"] {
                let mut with_service = plain.clone();
                with_service["spec"]["defaultBackend"]["service"]["name"] = json!(service);
                same(&play(&plain, order)?, &play(&with_service, order)?)?;
            }
            Ok(())
        }
        "companion's `defaultBackend.resource` (no service)" => {
            let mut resource = plain;
            resource["spec"]["defaultBackend"] = json!({"resource": {"kind": "ConfigMap", "name": "none"}});
            let crash = play(&resource, order).err().unwrap_or_default();
            same(&format!("**{crash}**"), &row.seen)
        }
        case => Err(format!("no scenario plays {case:?}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(modelled: &T, seen: &T) -> Result<(), String> {
    if modelled == seen { Ok(()) } else { Err(format!("model {modelled:?}\n seen {seen:?}")) }
}

/// What was served at each stage, and whether the gateway noticed anything in it.
type Stages = Vec<(String, bool)>;

/// The Secret is created and later renewed; the companion is touched after each.
fn play(companion: &Value, order: Order) -> Result<Stages, String> {
    let mut run = Run::new(order);
    run.apply([with_tls(rule(), WWW, SECRET), companion.clone()]);
    run.stage();
    for (nudge, serial) in [("1", 0x7fe8), ("2", 0x68d6)] {
        run.apply([secret(SECRET, &issue(&[WWW], serial))]);
        run.stage();
        let mut touched = companion.clone();
        touched["metadata"]["annotations"] = json!({ "certgate.dev/nudge": nudge });
        run.apply([touched]);
        run.stage();
    }
    run.stages
        .into_iter()
        .map(|(servers, noticed)| Ok((servers.map_err(|crash: Crash| crash.to_string())?, noticed)))
        .collect()
}

/// The cell names of each stage only what changed: the port, the certificate's
/// serial number, `(no sync)`. `…` stands for servers as before.
fn stages_fit(seen: &str, stages: &Stages) -> Result<(), String> {
    let words: Vec<&str> = seen.split(['⇒', '…']).map(str::trim).collect();
    same(&words.len(), &stages.len())?;
    let mut before = "";
    for (words, (servers, noticed)) in words.into_iter().zip(stages) {
        let what = words.strip_prefix("(no sync)").unwrap_or(words).trim();
        let (port, certificate) = what.split_once(' ').unwrap_or((what, ""));
        let serial = certificate.trim_start_matches("ssl ").trim_matches(['[', ']']);
        let fits = (words == what) == *noticed
            && servers.starts_with(port)
            && servers.contains(serial)
            && !servers.contains("; ")
            && (!what.is_empty() || servers == before);
        if !fits {
            return Err(format!("model {servers:?}, noticed: {noticed}\n seen {words:?}"));
        }
        before = servers;
    }
    Ok(())
}
