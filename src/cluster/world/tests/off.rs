//! What ends with a flag, an Ingress or a label.

use super::*;

#[test]
fn a_host_switched_off_does_not_stay_because_its_ingress_is_deleted_then() {
    for after in [0, 1, 2] {
        let mut cluster = issued("shop");
        let mut off = cluster.get("Ingress", "shop").unwrap().clone();
        off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
        cluster.put("Ingress", off);
        cluster.settle();
        cluster.pass(after);
        assert!(cluster.get("Domain", HOST).is_some(), "the Certificate is cleared away first");
        cluster.delete("Ingress", "shop");
        cluster.collect_garbage();
        cluster.pass(30);
        assert!(cluster.get("Secret", SECRET).is_some());
        assert_eq!(cluster.get("Domain", HOST), None, "off means off, {after} s later");
    }
}

#[test]
fn an_ingress_that_gains_or_loses_the_companions_label_is_what_it_is_now() {
    // Anybody may write the label; an application's Ingress stays one.
    let mut cluster = issued("shop");
    let mut labelled = cluster.get("Ingress", "shop").unwrap().clone();
    labelled["metadata"]["labels"] = json!({"certgate.dev/companion-of": HOST});
    cluster.put("Ingress", labelled);
    cluster.pass(30);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    let mut off = cluster.get("Ingress", "shop").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(30);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"], Value::Null, "off means off");
    assert_eq!(cluster.get("Certificate", SECRET), None);

    // One that becomes a companion is no claim any more, and one that was is one.
    let mut cluster = issued("shop");
    let mut companion = cluster.get("Ingress", "shop").unwrap().clone();
    companion["metadata"]["labels"] = json!({"certgate.dev/companion-of": HOST});
    companion["spec"]["ingressClassName"] = json!("certgate-companion");
    let uid = cluster.get("Domain", HOST).unwrap()["metadata"]["uid"].clone();
    companion["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "name": HOST, "uid": uid, "controller": true}]);
    cluster.put("Ingress", companion.clone());
    cluster.pass(5);
    assert!(cluster.world.ingress("team-a", "shop").is_none());
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False HostRemoved"));
    companion["metadata"]["labels"] = json!({});
    companion["spec"]["ingressClassName"] = Value::Null;
    cluster.put("Ingress", companion);
    cluster.pass(60);
    assert!(cluster.world.ingress("team-a", "shop").is_some());
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn a_certificate_that_another_ingress_asks_for_is_not_deleted_again_and_again() {
    // It names our Secret, and no rule of it the host: deleted, its Certificate would be made anew at once, for ever.
    let mut cluster = Cluster::new(POLICY);
    let mut object = ingress("theirs", "other.example.net");
    object["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": "le"});
    object["spec"]["tls"] = json!([{"hosts": [HOST], "secretName": SECRET}]);
    cluster.put("Ingress", object);
    cluster.pass(600);
    assert!(cluster.get("Certificate", SECRET).is_some());
    assert_eq!(cluster.orders, [HOST], "by cert-manager, for whom its owner asked");
    // Once nobody asks any more, it goes.
    cluster.shim_is_down = true;
    cluster.put("Ingress", ingress("theirs", "other.example.net"));
    cluster.pass(600);
    assert_eq!(cluster.get("Certificate", SECRET), None);
}
