use super::super::ErrorKind;
use super::*;

const CHAT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1741570283,"model":"gpt-4o-2024-08-06",
 "choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"},
  {"index":1,"message":{"role":"assistant","content":null},"finish_reason":"length"}],
 "usage":{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},
  "completion_tokens_details":{"reasoning_tokens":5,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_fc9f1d7035"}"#;
const COMPLETIONS: &str = r#"{"id":"cmpl-1","object":"text_completion","model":"gpt-3.5-turbo-instruct",
 "choices":[{"text":"\n\nThis","index":0,"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
const EMBEDDINGS: &str = r#"{"object":"list","data":[{"object":"embedding","embedding":[0.0023064255,-0.009327292],"index":0}],
 "model":"text-embedding-ada-002","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
const RESPONSES: &str = r#"{"id":"resp_67","object":"response","created_at":1741476542,"status":"completed","error":null,"incomplete_details":null,
 "model":"gpt-4.1-2025-04-14","output":[{"type":"message","id":"msg_67","status":"completed","role":"assistant",
  "content":[{"type":"output_text","text":"In a","annotations":[]}]}],
 "usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":123}}"#;
const INCOMPLETE: &str =
    r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model":"o4"}"#;
const FAILED: &str =
    r#"{"status":"failed","error":{"code":"server_error","message":"The model failed"},"model":"o4"}"#;
const MESSAGES: &str = r#"{"id":"msg_013","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"Hi"}],
 "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":2095,"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":503}}"#;
const ODD: &str = r#"{"model":7,"usage":{"prompt_tokens":"many","completion_tokens":3},"choices":[null,{"finish_reason":3},{"finish_reason":"stop","x":[[[]]]}],"new":{"a":1}}"#;

#[test]
fn answers_of_each_format() {
    let usage =
        |input, output, cached_input, reasoning| Some(Usage { input, output, cached_input, reasoning });
    let cases = [
        (Format::Chat, CHAT, Some("gpt-4o-2024-08-06"), usage(1117, 46, 1024, 5), vec!["stop", "length"]),
        (Format::Completions, COMPLETIONS, Some("gpt-3.5-turbo-instruct"), usage(5, 7, 0, 0), vec!["length"]),
        (Format::Embeddings, EMBEDDINGS, Some("text-embedding-ada-002"), usage(8, 0, 0, 0), vec![]),
        (Format::Responses, RESPONSES, Some("gpt-4.1-2025-04-14"), usage(36, 87, 6, 9), vec!["completed"]),
        (Format::Responses, INCOMPLETE, Some("o4"), None, vec!["max_output_tokens"]),
        (Format::Responses, FAILED, Some("o4"), None, vec!["failed"]),
        (Format::Messages, MESSAGES, Some("claude-sonnet-4-5"), usage(2100, 503, 5, 0), vec!["end_turn"]),
        (Format::Chat, ODD, None, usage(0, 3, 0, 0), vec!["stop"]),
        (Format::Chat, " {} ", None, None, vec![]),
    ];
    for (format, body, model, usage, finish_reasons) in cases {
        let answer = Answer::read(format, body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(answer.model.as_deref(), model, "{body}");
        assert_eq!(answer.usage, usage, "{body}");
        assert_eq!(answer.finish_reasons, finish_reasons, "{body}");
        assert_eq!(answer.error.is_some(), body == FAILED, "{body}");
    }
}

#[test]
fn errors_with_a_good_status() {
    let body =
        br#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
    let error = Answer::read(Format::Chat, body).unwrap().error.unwrap();
    assert_eq!((error.status, error.kind), (Some(429), ErrorKind::RateLimited));
}

#[test]
fn what_is_no_answer() {
    for body in ["", "null", "[1,2]", "\"text\"", "{\"model\":", "<html></html>", "{} {}", "data: {}\n\n"] {
        assert_eq!(Answer::read(Format::Chat, body.as_bytes()), None, "{body}");
    }
}
