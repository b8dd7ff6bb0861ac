//! How the answer is to be made: randomness, stops, form and effort.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Fields, Untranslatable};

/// The fields of a `messages` request that shape the answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct Sampling<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

/// What Anthropic calls `output_config`.
#[derive(Debug, Default, Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "json_schema")]
struct OutputFormat<'a> {
    schema: &'a RawValue,
}

/// What the client wants the answer's form to be.
pub(super) enum Form {
    /// Whatever the model likes, or as a schema says.
    Settled,
    /// Any JSON object: Anthropic has no such mode, so the model is told.
    AnyObject,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    format_type: String,
    #[serde(default, borrow)]
    json_schema: Option<NamedSchema<'a>>,
}

#[derive(Deserialize)]
struct NamedSchema<'a> {
    #[serde(default, borrow)]
    schema: Option<&'a RawValue>,
}

/// Takes the fields that shape the answer. The names of those that could not be kept whole are
/// added to `changed`.
pub(super) fn take<'a>(
    fields: &mut Fields<'a>,
    changed: &mut Vec<String>,
) -> Result<(Sampling<'a>, Form), Untranslatable> {
    let (temperature, top_p) = randomness(fields, changed)?;
    let (effort, thinking) = effort(fields)?;
    let (format, form) = form(fields)?;
    let output_config = (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format });
    let stop_sequences = stops(fields, changed)?;
    let sampling = Sampling {
        stop_sequences,
        temperature,
        top_p,
        top_k: fields.take("top_k")?,
        thinking,
        output_config,
    };
    Ok((sampling, form))
}

/// Temperature ends at 1 with Anthropic, and newer models refuse it together with `top_p`. Values
/// that are the default anyway are left out, for the newest models refuse them too.
fn randomness(
    fields: &mut Fields<'_>,
    changed: &mut Vec<String>,
) -> Result<(Option<f64>, Option<f64>), Untranslatable> {
    let temperature: Option<f64> = fields.take("temperature")?;
    let top_p: Option<f64> = fields.take("top_p")?;
    for (name, value, most) in [("temperature", temperature, 2.0), ("top_p", top_p, 1.0)] {
        if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
            return Err(Untranslatable::invalid(name, format_args!("it must be from 0 to {most}")));
        }
    }
    if temperature.is_some_and(|value| value > 1.0) {
        changed.push("temperature".to_owned());
    }
    let temperature = temperature.filter(|value| *value < 1.0);
    let top_p = top_p.filter(|value| *value < 1.0);
    if temperature.is_some() && top_p.is_some() {
        changed.push("top_p".to_owned());
        return Ok((temperature, None));
    }
    Ok((temperature, top_p))
}

/// Anthropic refuses stop sequences without a visible character: they are left out.
fn stops(fields: &mut Fields<'_>, changed: &mut Vec<String>) -> Result<Vec<String>, Untranslatable> {
    let stops = match fields.take::<&RawValue>("stop")? {
        None => return Ok(Vec::new()),
        Some(raw) => match serde_json::from_str(raw.get()) {
            Ok(Stop::One(stop)) => vec![stop],
            Ok(Stop::Many(stops)) => stops,
            Err(_) => return Err(Untranslatable::invalid("stop", "neither a text nor a list of texts")),
        },
    };
    let asked = stops.len();
    let kept: Vec<String> = stops.into_iter().filter(|stop| !stop.trim().is_empty()).collect();
    if kept.len() < asked {
        changed.push("stop".to_owned());
    }
    Ok(kept)
}

type Effort<'a> = (Option<&'static str>, Option<Cow<'a, RawValue>>);

/// `reasoning_effort` is Anthropic's `effort`, which works without a thinking budget. A client that
/// knows Anthropic may send `thinking` itself.
fn effort<'a>(fields: &mut Fields<'a>) -> Result<Effort<'a>, Untranslatable> {
    const PARAM: &str = "reasoning_effort";
    let thinking: Option<&RawValue> = fields.take("thinking")?;
    let thinking = thinking.map(Cow::Borrowed);
    let effort: Option<String> = fields.take(PARAM)?;
    let effort = match effort.as_deref() {
        None => None,
        Some("none") => {
            let off = RawValue::from_string(r#"{"type":"disabled"}"#.to_owned())
                .map_err(|error| Untranslatable::invalid(PARAM, error))?;
            return Ok((None, thinking.or(Some(Cow::Owned(off)))));
        }
        Some("minimal" | "low") => Some("low"),
        Some("medium") => Some("medium"),
        Some("high") => Some("high"),
        Some("xhigh") => Some("xhigh"),
        Some("max") => Some("max"),
        Some(other) => return Err(Untranslatable::unsupported(PARAM, &format!("there is no {other:?}"))),
    };
    Ok((effort, thinking))
}

fn form<'a>(fields: &mut Fields<'a>) -> Result<(Option<OutputFormat<'a>>, Form), Untranslatable> {
    const PARAM: &str = "response_format";
    let Some(format): Option<ResponseFormat<'_>> = fields.take(PARAM)? else {
        return Ok((None, Form::Settled));
    };
    match format.format_type.as_str() {
        "text" => Ok((None, Form::Settled)),
        "json_object" => Ok((None, Form::AnyObject)),
        "json_schema" => match format.json_schema.and_then(|named| named.schema) {
            Some(schema) => Ok((Some(OutputFormat { schema }), Form::Settled)),
            None => Err(Untranslatable::invalid(format!("{PARAM}.json_schema.schema"), "it is missing")),
        },
        other => Err(Untranslatable::unsupported(format!("{PARAM}.type"), &format!("there is no {other:?}"))),
    }
}
