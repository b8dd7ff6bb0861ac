use super::*;

const OPENAI_CONTEXT: &str = r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 150012 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
const VLLM_CONTEXT: &str = r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}"#;
const LLAMA_CONTEXT: &str = r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing it","type":"exceed_context_size_error"}}"#;
const ANTHROPIC_CONTEXT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 214324 tokens > 200000 maximum"},"request_id":"req_011"}"#;
const ANTHROPIC_SUM: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}"#;
const AZURE_FILTER: &str = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#;
const OPENAI_POLICY: &str = r#"{"error":{"code":"content_policy_violation","message":"Your request was rejected as a result of our safety system.","param":null,"type":"invalid_request_error"}}"#;
const ANTHROPIC_FILTER: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#;
const OPENAI_MODEL: &str = r#"{"error":{"message":"The model `gpt-9` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
const AZURE_DEPLOYMENT: &str = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."}}"#;
const AZURE_PATH: &str = r#"{"error":{"code":"404","message":"Resource not found"}}"#;
const ANTHROPIC_MODEL: &str =
    r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-nine"}}"#;
const OLLAMA_MODEL: &str = r#"{"error":{"message":"model \"llama9\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#;
const FILE_MISSING: &str = r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}"#;
const OPENAI_KEY: &str = r#"{"error":{"message":"Incorrect API key provided: sk-12.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#;
const AZURE_KEY: &str = r#"{"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired."}"#;
const QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
const OVERLOADED: &str = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
const UNPROCESSABLE: &str = r#"{"detail":[{"loc":["body","messages"],"msg":"field required"}]}"#;

#[test]
fn bodies_of_failed_answers() {
    use ErrorKind::{
        ContentRejected, ContextLength, Credentials, InvalidRequest, Other, Overloaded, RateLimited, Server,
        UnknownModel,
    };
    let cases = [
        (400, OPENAI_CONTEXT, ContextLength),
        (400, VLLM_CONTEXT, ContextLength),
        (400, LLAMA_CONTEXT, ContextLength),
        (400, ANTHROPIC_CONTEXT, ContextLength),
        (400, ANTHROPIC_SUM, ContextLength),
        (400, AZURE_FILTER, ContentRejected),
        (400, OPENAI_POLICY, ContentRejected),
        (400, ANTHROPIC_FILTER, ContentRejected),
        (404, OPENAI_MODEL, UnknownModel),
        (404, AZURE_DEPLOYMENT, UnknownModel),
        (404, AZURE_PATH, UnknownModel),
        (404, ANTHROPIC_MODEL, UnknownModel),
        (404, OLLAMA_MODEL, UnknownModel),
        (404, FILE_MISSING, InvalidRequest),
        (401, OPENAI_KEY, Credentials),
        (401, AZURE_KEY, Credentials),
        (429, QUOTA, RateLimited),
        (529, OVERLOADED, Overloaded),
        (422, UNPROCESSABLE, InvalidRequest),
        (503, "upstream connect error", Overloaded),
        (502, "<html>maximum context length</html>", Server),
        (500, r#"{"error":{"message":"maximum context length"}}"#, Server),
        (418, "", Other),
    ];
    for (status, body, kind) in cases {
        let error = ProviderError::read(status, body.as_bytes());
        assert_eq!((error.status, error.kind), (Some(status), kind), "{body}");
    }
}

#[test]
fn all_fields_are_read() {
    let error = ProviderError::read(400, OPENAI_CONTEXT.as_bytes());
    assert!(error.message.starts_with("This model's maximum"));
    assert_eq!(error.error_type.as_deref(), Some("invalid_request_error"));
    assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
    assert_eq!(error.param.as_deref(), Some("messages"));
    assert_eq!(ProviderError::read(400, br#"{"error":"bad"}"#).message, "bad");
    assert_eq!(ProviderError::read(400, br#"{"detail":"bad"}"#).message, "bad");
    assert_eq!(ProviderError::read(400, br#"{"message":"bad"}"#).message, "bad");
    let detailed = br#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"ramp_limit_exceeded"}}}"#;
    assert_eq!(ProviderError::read(429, detailed).code.as_deref(), Some("ramp_limit_exceeded"));
    assert_eq!(ProviderError::read(400, VLLM_CONTEXT.as_bytes()).code.as_deref(), Some("400"));
}

#[test]
fn events_that_are_errors() {
    let failed = r#"{"type":"response.failed","sequence_number":3,"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"The model failed."}}}"#;
    let prompt = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"context_length_exceeded","message":"Your input exceeds the context window of this model."}}}"#;
    let silent = r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#;
    let responses =
        r#"{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null,"sequence_number":1}"#;
    let router = r#"{"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},"choices":[]}"#;
    let cases = [
        (None, QUOTA, Some(429), ErrorKind::RateLimited),
        (None, AZURE_FILTER, Some(400), ErrorKind::ContentRejected),
        (None, OPENAI_CONTEXT, Some(400), ErrorKind::ContextLength),
        (None, r#"{"error":{"message":"boom"}}"#, None, ErrorKind::Other),
        (None, r#"{"error":"boom"}"#, None, ErrorKind::Other),
        (None, router, Some(502), ErrorKind::Server),
        (Some("error"), OVERLOADED, Some(529), ErrorKind::Overloaded),
        (Some("error"), "boom", None, ErrorKind::Other),
        (Some("error"), r#"{"message":"boom"}"#, None, ErrorKind::Other),
        (Some("response.failed"), failed, Some(500), ErrorKind::Server),
        (Some("response.failed"), prompt, Some(400), ErrorKind::ContextLength),
        (Some("response.failed"), silent, None, ErrorKind::Other),
        (Some("error"), responses, Some(429), ErrorKind::RateLimited),
    ];
    for (name, data, status, kind) in cases {
        let error = ProviderError::in_event(name, data.as_bytes()).unwrap_or_else(|| panic!("{data}"));
        assert_eq!((error.status, error.kind), (status, kind), "{data}");
    }
}

#[test]
fn events_that_are_none() {
    let created =
        r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","error":null}}"#;
    let chunk =
        r#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"error"}}]}"#;
    let cases = [
        (Some("response.created"), created),
        (None, chunk),
        (None, r#"{"error":null,"choices":[]}"#),
        (None, r#"{"error":{}}"#),
        (None, r#"{"error":""}"#),
        (None, r#"{"message":"hello"}"#),
        (Some("ping"), r#"{"type":"ping"}"#),
        (None, "[DONE]"),
        (None, "not json"),
    ];
    for (name, data) in cases {
        assert_eq!(ProviderError::in_event(name, data.as_bytes()), None, "{data}");
    }
}
