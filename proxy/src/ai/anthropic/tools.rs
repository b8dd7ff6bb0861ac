//! Tools, and whether they are to be used.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Fields, Untranslatable, read};
use super::wire::ChatTool;

const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// A tool in Anthropic's form.
#[derive(Serialize)]
pub(super) struct Tool<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// As the client sent it, the order of its fields included: models heed it.
    input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a RawValue>,
}

/// How tools are to be used.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ToolChoice {
    #[serde(flatten)]
    mode: Mode,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Mode {
    Auto,
    Any,
    None,
    Tool { name: String },
}

#[derive(Deserialize)]
struct NamedChoice {
    #[serde(rename = "type")]
    choice_type: String,
    #[serde(default)]
    function: Option<NamedFunction>,
}

#[derive(Deserialize)]
struct NamedFunction {
    name: String,
}

/// Takes `tools`, `tool_choice` and `parallel_tool_calls`.
pub(super) fn take<'a>(
    fields: &mut Fields<'a>,
) -> Result<(Vec<Tool<'a>>, Option<ToolChoice>), Untranslatable> {
    let tools: Vec<&RawValue> = fields.take("tools")?.unwrap_or_default();
    let tools = tools.into_iter().enumerate();
    let tools: Vec<_> =
        tools.map(|(at, tool)| translate(tool, &format!("tools[{at}]"))).collect::<Result<_, _>>()?;
    let mode = fields.take("tool_choice")?.map(mode).transpose()?;
    let parallel: Option<bool> = fields.take("parallel_tool_calls")?;
    if tools.is_empty() {
        return Ok((tools, None));
    }
    let choice = match (mode, parallel == Some(false)) {
        (None, false) => None,
        (Some(Mode::None), _) => Some(ToolChoice { mode: Mode::None, disable_parallel_tool_use: false }),
        (mode, disable_parallel_tool_use) => {
            Some(ToolChoice { mode: mode.unwrap_or(Mode::Auto), disable_parallel_tool_use })
        }
    };
    Ok((tools, choice))
}

fn translate<'a>(tool: &'a RawValue, param: &str) -> Result<Tool<'a>, Untranslatable> {
    let tool: ChatTool<'a> =
        read(tool, || param.to_owned())?.ok_or_else(|| Untranslatable::invalid(param, "null"))?;
    if tool.tool_type != "function" {
        let what = format!("there is no {:?}, only functions", tool.tool_type);
        return Err(Untranslatable::unsupported(format!("{param}.type"), &what));
    }
    let lacking = || Untranslatable::invalid(format!("{param}.function"), "it is missing");
    let function = tool.function.ok_or_else(lacking)?;
    let input_schema = match function.parameters {
        Some(schema) => schema,
        None => serde_json::from_str(NO_PARAMETERS).map_err(|error| Untranslatable::invalid(param, error))?,
    };
    Ok(Tool {
        name: function.name,
        description: function.description,
        input_schema,
        strict: function.strict,
        cache_control: tool.cache_control,
    })
}

fn mode(choice: &RawValue) -> Result<Mode, Untranslatable> {
    const PARAM: &str = "tool_choice";
    match choice.get() {
        r#""auto""# => return Ok(Mode::Auto),
        r#""none""# => return Ok(Mode::None),
        r#""required""# => return Ok(Mode::Any),
        _ => {}
    }
    let named: Option<NamedChoice> = read(choice, || PARAM.to_owned())?;
    match named {
        Some(NamedChoice { choice_type, function: Some(function) }) if choice_type == "function" => {
            Ok(Mode::Tool { name: function.name })
        }
        _ => Err(Untranslatable::unsupported(PARAM, "it is neither a mode nor the name of a function")),
    }
}
