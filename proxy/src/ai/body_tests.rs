use super::*;

fn scan(body: &str) -> Result<Scan, ApiError> {
    Scan::of(Endpoint::Chat, body.as_bytes())
}

fn edited(body: &str, edit: impl Fn(&Scan, &mut Edits)) -> String {
    let scan = Scan::of(Endpoint::Moderations, body.as_bytes()).unwrap();
    let mut edits = Edits::default();
    edit(&scan, &mut edits);
    let pieces = edits.apply(&Bytes::copy_from_slice(body.as_bytes()));
    String::from_utf8(pieces.concat()).unwrap()
}

#[test]
fn what_matters_is_found() {
    let found = scan(
        r#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"gpt","stream":true,"n":3,
            "stream_options":{"include_usage":true},"tools":[{}]}"#,
    )
    .unwrap();
    assert_eq!(
        (found.model.as_deref(), found.stream, found.choices, found.tools),
        (Some("gpt"), true, 3, true)
    );
    assert!(found.wants_usage() && !found.needs_usage());
    let found = scan(r#"{"messages":[1],"stream":null,"tools":[ ],"stream_options":null}"#).unwrap();
    assert_eq!((found.model, found.stream, found.choices, found.tools), (None, false, 1, false));
}

#[test]
fn every_prompt_has_its_choices() {
    let cases = [
        (r#""one""#, 2),
        (r#"["one"]"#, 2),
        (r#"[ "one", "two, too", "3" ]"#, 6),
        ("[1, 2, 3]", 2),
        ("[[1, 2], [3]]", 4),
        ("[]", 2),
        ("null", 2),
    ];
    for (prompt, choices) in cases {
        let body = format!(r#"{{"n":2,"prompt":{prompt}}}"#);
        assert_eq!(Scan::of(Endpoint::Completions, body.as_bytes()).unwrap().choices, choices, "{prompt}");
        assert_eq!(Scan::of(Endpoint::Images, body.as_bytes()).unwrap().choices, 2, "{prompt}");
    }
}

#[test]
fn what_can_not_be_right_is_refused() {
    let cases = [
        ("", 400, "invalid_json", None),
        ("[]", 400, "invalid_json", None),
        ("{\"messages\":[1]", 400, "invalid_json", None),
        ("{}", 400, "missing_required_parameter", Some("messages")),
        (r#"{"messages":[ ]}"#, 400, "empty_array", Some("messages")),
        (r#"{"messages":"hi"}"#, 400, "invalid_type", Some("messages")),
        (r#"{"messages":[1],"model":1}"#, 400, "invalid_type", Some("model")),
        (r#"{"messages":[1],"stream":"yes"}"#, 400, "invalid_type", Some("stream")),
        (r#"{"messages":[1],"stream_options":1}"#, 400, "invalid_type", Some("stream_options")),
        (r#"{"messages":[1],"model":"a","model":"b"}"#, 400, "duplicate_parameter", Some("model")),
    ];
    for (body, status, code, param) in cases {
        let error = scan(body).unwrap_err();
        assert_eq!((error.status, error.code, error.param.as_deref()), (status, code, param), "{body}");
    }
}

#[test]
fn edits_leave_all_else_alone() {
    let model = |scan: &Scan, edits: &mut Edits| scan.set_model("a\"b", edits);
    let usage = |scan: &Scan, edits: &mut Edits| scan.include_usage(edits);
    let both = |scan: &Scan, edits: &mut Edits| {
        scan.set_model("m", edits);
        scan.include_usage(edits);
    };
    let cases = [
        (r#"{ "x" : 1.0, "model" : "gpt" , "y":[ ] }"#, r#"{ "x" : 1.0, "model" : "a\"b" , "y":[ ] }"#),
        (r#"{"x":1}"#, r#"{"model":"a\"b","x":1}"#),
        (r#"{ }"#, r#"{"model":"a\"b" }"#),
    ];
    for (body, expected) in cases {
        assert_eq!(edited(body, model), expected);
    }
    let cases = [
        (r#" {"x":1}"#, r#" {"stream_options":{"include_usage":true},"x":1}"#),
        (r#"{"stream_options": {}}"#, r#"{"stream_options": {"include_usage":true}}"#),
        (r#"{"stream_options":{"a":1}}"#, r#"{"stream_options":{"include_usage":true,"a":1}}"#),
        (
            r#"{"stream_options":{"a":1, "include_usage" : false}}"#,
            r#"{"stream_options":{"a":1, "include_usage" : true}}"#,
        ),
        (r#"{"stream_options":{"include_usage":null}}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#"{"stream_options": null, "x":1}"#, r#"{"stream_options": {"include_usage":true}, "x":1}"#),
    ];
    for (body, expected) in cases {
        assert_eq!(edited(body, usage), expected);
    }
    let expected = r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#;
    assert_eq!(edited(r#"{"model":"gpt","stream":true}"#, both), expected);
    let edited = edited("{}", both);
    let parsed: serde_json::Value = serde_json::from_str(&edited).expect(&edited);
    assert_eq!(parsed["model"], "m");
}

#[test]
fn an_answer_is_begun() {
    let begin = |scan: &Scan, edits: &mut Edits| scan.begin_answer("a\nb", edits);
    assert_eq!(
        edited(r#"{"messages":[{"role":"user"} ],"x":1}"#, begin),
        r#"{"messages":[{"role":"user"} ,{"content":"a\nb","role":"assistant"}],"x":1}"#
    );
}

proptest::proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Scan::of(Endpoint::Chat, &body);
    }
}
