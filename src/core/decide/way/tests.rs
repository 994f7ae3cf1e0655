use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::core::settings::user_issuer;

const HOST: &str = "www.example.com";

fn way_of(object: &Value, natural: Issuance, validates: bool) -> Way {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    let present = Present::claimed(&ingress);
    let user_tls = UserTls::of(&ingress, &present, false);
    let issuer = user_issuer(&ingress, |key| present.record.annotations.contains_key(key));
    let profile = if object["metadata"]["labels"].is_null() { Profile::Standard } else { Profile::RainbondV5 };
    let surroundings = Surroundings::of(&ingress, &present, &user_tls, &issuer, profile);
    surroundings.way(&present, HOST, natural, &IssuerRef::cluster("le"), validates)
}

fn ingress(annotations: Value, tls: Value) -> Value {
    json!({"metadata": {"annotations": annotations}, "spec": {"rules": [{"host": HOST}], "tls": tls}})
}

fn theirs() -> Value {
    json!([{"hosts": ["pay.example.com"], "secretName": "bought"}])
}

fn none() -> Value {
    json!([])
}

/// What was decided, in a word.
fn word(way: &Way) -> &'static str {
    match way {
        Way::Inline => "inline",
        Way::Companion => "companion",
        Way::Refused(finding) => finding.reason.as_str(),
    }
}

#[rstest]
#[case::nothing_else(json!({}), none(), "inline")]
#[case::a_wish(json!({names::DURATION: "2160h"}), none(), "inline")]
#[case::the_users_certificate(json!({}), theirs(), "companion")]
#[case::beside_the_users_issuer(json!({names::ISSUER: "mine"}), theirs(), "inline")]
#[case::an_entry_without_secret(json!({}), json!([{"hosts": ["pay.example.com"]}]), "inline")]
#[case::two_of_them(json!({}), json!([{"hosts": ["a.example.com"]}, {"hosts": ["b.example.com"]}]), "companion")]
#[case::two_beside_the_users_issuer(json!({names::ISSUER: "mine"}), json!([{"hosts": ["a.example.com"]}, {"hosts": ["b.example.com"]}]), "IngressRefused")]
#[case::a_kind_alone(json!({names::ISSUER_KIND: "Custom"}), none(), "companion")]
#[case::a_group_alone(json!({names::ISSUER_GROUP: "example.com"}), none(), "companion")]
#[case::a_kind_that_is_none(json!({names::ISSUER: "mine", names::ISSUER_KIND: "Custom"}), none(), "AnnotationRefused")]
#[case::a_kind_of_its_group(json!({names::ISSUER: "mine", names::ISSUER_KIND: "Custom", names::ISSUER_GROUP: "example.com"}), none(), "inline")]
#[case::unreadable(json!({names::DURATION: "90d"}), none(), "AnnotationRefused")]
#[case::unreadable_beside_a_certificate(json!({names::DURATION: "90d"}), theirs(), "AnnotationRefused")]
#[case::its_own_name(json!({names::COMMON_NAME: HOST}), none(), "inline")]
#[case::another_name(json!({names::COMMON_NAME: "example.com"}), none(), "CommonNameConflict")]
#[case::more_names(json!({names::ALT_NAMES: "example.com"}), none(), "companion")]
#[case::more_names_by_the_user(json!({names::ISSUER: "mine", names::ALT_NAMES: "example.com"}), none(), "ExtraNames")]
#[case::an_address(json!({names::IP_SANS: "203.0.113.7"}), none(), "companion")]
#[case::mail(json!({names::EMAIL_SANS: "me@example.com"}), none(), "companion")]
#[case::in_place(json!({names::HTTP01_EDIT_IN_PLACE: "true"}), none(), "inline")]
#[case::in_place_beside_a_certificate(json!({names::HTTP01_EDIT_IN_PLACE: "true"}), theirs(), "AnnotationRefused")]
#[case::two_overrides(json!({names::HTTP01_EDIT_IN_PLACE: "true", names::HTTP01_INGRESS_CLASS: "nginx"}), none(), "AnnotationRefused")]
#[case::tls_acme(json!({names::TLS_ACME: "true"}), none(), "inline")]
#[case::tls_acme_with_a_certificate(json!({names::TLS_ACME: "true"}), theirs(), "companion")]
#[case::ours_with_another_name(json!({names::COMMON_NAME: HOST}), json!([{"hosts": ["a.example.com"], "secretName": "certgate-a.example.com"}]), "companion")]
fn ways(#[case] annotations: Value, #[case] tls: Value, #[case] expected: &str) {
    assert_eq!(word(&way_of(&ingress(annotations, tls), Issuance::Inline, true)), expected);
}

#[test]
fn an_issuer_that_validates_nothing_certifies_what_is_asked() {
    for mut annotations in [json!({names::COMMON_NAME: "shop"}), json!({names::ALT_NAMES: "shop.local"})] {
        // Apart, as another host of the Ingress may have an issuer that does.
        assert_eq!(way_of(&ingress(annotations.clone(), none()), Issuance::Inline, false), Way::Companion);
        annotations[names::ISSUER] = json!("mine");
        assert_eq!(way_of(&ingress(annotations, none()), Issuance::Inline, false), Way::Inline);
    }
}

#[test]
fn policy_may_have_all_ordered_apart() {
    let in_place = json!({names::HTTP01_EDIT_IN_PLACE: "true"});
    assert_eq!(way_of(&ingress(in_place, none()), Issuance::Companion, true), Way::Companion);
    assert_eq!(
        word(&way_of(&ingress(json!({names::USAGES: "tls"}), none()), Issuance::Companion, true)),
        "AnnotationRefused"
    );
}

#[test]
fn a_secret_that_rainbond_5_would_not_see_is_made_apart() {
    let mut object = ingress(json!({names::SECRET_TEMPLATE: r#"{"labels":{"a":"b"}}"#}), none());
    object["metadata"]["labels"] = json!({"creator": "Rainbond"});
    assert_eq!(way_of(&object, Issuance::Inline, true), Way::Companion);
    object["metadata"]["annotations"][names::SECRET_TEMPLATE] = json!(r#"{"labels":{"creator":"Rainbond"}}"#);
    assert_eq!(way_of(&object, Issuance::Inline, true), Way::Inline);
}

#[test]
fn the_sentence_names_the_annotation_and_what_to_write() {
    let Way::Refused(finding) = way_of(&ingress(json!({names::DURATION: "90d"}), none()), Issuance::Inline, true)
    else {
        panic!()
    };
    insta::assert_snapshot!(finding.sentence(crate::core::finding::Lang::En), @r#"cert-manager refuses the annotation cert-manager.io/duration: "90d" (time: unknown unit "d" in duration "90d"), so www.example.com gets no certificate; write, for example, "2160h", or remove it"#);
}
