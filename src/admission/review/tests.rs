use rstest::rstest;

use super::*;

const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{
    "uid":"u-1","operation":"CREATE","namespace":"team-a","name":"shop",
    "resource":{"group":"networking.k8s.io","version":"v1","resource":"ingresses"},
    "userInfo":{"username":"x","extra":{"k":["v"]}},
    "object":{"metadata":{"name":"shop"},"spec":{"rules":[{"host":"www.example.com"}]}},
    "oldObject":null,"dryRun":true}}"#;

fn uid_of(body: &[u8]) -> Option<String> {
    match read(body) {
        Reading::Review(review) => Some(review.request.uid.0.into_owned()),
        Reading::Unreadable { uid, .. } => Some(uid.into_owned()),
        Reading::Malformed { .. } => None,
    }
}

#[test]
fn what_is_decided_on_is_borrowed_from_the_body() {
    let Reading::Review(review) = read(REVIEW.as_bytes()) else { panic!("unread") };
    assert!(review.is_v1() && review.request.resource.is_ingress());
    assert_eq!(review.request.operation, Operation::Create);
    assert!(matches!(review.request.uid.0, Cow::Borrowed("u-1")));
    let object = review.request.object.unwrap();
    assert!(matches!(object.spec.rules[0].host, Some(CowStr(Cow::Borrowed("www.example.com")))));
}

#[test]
fn every_truncation_is_an_answer_and_the_uid_is_kept_once_it_was_there() {
    let uid_ends = REVIEW.find("u-1").unwrap() + "u-1\"".len();
    for length in 0..REVIEW.len() {
        let expected = (length >= uid_ends).then(|| "u-1".to_owned());
        assert_eq!(uid_of(&REVIEW.as_bytes()[..length]), expected, "cut at {length}");
    }
}

#[rstest]
#[case::object_of_another_shape(r#"{"request":{"uid":"u","object":{"spec":{"rules":7}}}}"#)]
#[case::object_is_a_list(r#"{"request":{"uid":"u","object":[1]}}"#)]
#[case::labels_are_numbers(r#"{"request":{"uid":"u","object":{"metadata":{"labels":{"a":1}}}}}"#)]
#[case::uid_after_the_fault(r#"{"request":{"object":{"spec":{"rules":7}},"uid":"u"}}"#)]
#[case::operation_is_a_number(r#"{"request":{"operation":1,"uid":"u"}}"#)]
#[case::keys_twice_in_the_request(r#"{"request":{"uid":"u","name":"a","name":"b"}}"#)]
#[case::keys_twice_in_the_object(r#"{"request":{"uid":"u","object":{"spec":{},"spec":{}}}}"#)]
#[case::text_behind_the_end(r#"{"request":{"uid":"u"}} x"#)]
#[case::no_namespace_but_null(
    r#"{"request":{"uid":"u","namespace":null,"name":null,"subResource":null,"object":null}}"#
)]
#[case::escaped_uid(r#"{"request":{"uid":"\u0075"}}"#)]
fn the_uid_is_read_whatever_else_is_wrong(#[case] body: &str) {
    assert_eq!(uid_of(body.as_bytes()).as_deref(), Some("u"), "{body}");
}

#[rstest]
#[case("")]
#[case("null")]
#[case("{}")]
#[case("[]")]
#[case("\"u\"")]
#[case(r#"{"request":null}"#)]
#[case(r#"{"request":{}}"#)]
#[case(r#"{"request":{"uid":7}}"#)]
#[case(r#"{"request":{"uid":""}}"#)]
#[case(r#"{"request":[{"uid":"u"}]}"#)]
#[case("\u{feff}{}")]
fn without_a_uid_it_is_no_review(#[case] body: &str) {
    assert_eq!(uid_of(body.as_bytes()), None, "{body}");
}

#[test]
fn octets_that_are_no_text_are_refused_where_they_are_read_and_skipped_where_they_are_not() {
    assert_eq!(uid_of(b"{\"request\":{\"uid\":\"\xff\xfe\"}}"), None);
    assert_eq!(uid_of(b"{\"request\":{\"uid\":\"u\",\"namespace\":\"\xff\"}}").as_deref(), Some("u"));
    assert_eq!(uid_of(b"\xff\xfe\x00{").as_deref(), None);
}

#[test]
fn nesting_costs_neither_the_stack_nor_the_uid() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000));
    for nested in [deep("[", "]"), deep("{\"a\":", "}").replace(":}", ":1}"), "[".repeat(500_000)] {
        // Beside the object, within it, and as a part that is read.
        for body in [
            format!(r#"{{"request":{{"uid":"u","options":{nested}}}}}"#),
            format!(r#"{{"request":{{"uid":"u","object":{{"status":{nested}}}}}}}"#),
            format!(r#"{{"request":{{"uid":"u","object":{{"spec":{{"rules":{nested}}}}}}}}}"#),
        ] {
            assert_eq!(uid_of(body.as_bytes()).as_deref(), Some("u"));
        }
    }
}
