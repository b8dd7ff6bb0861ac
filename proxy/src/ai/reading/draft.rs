//! A message in the making, in bounded memory.

use std::collections::BTreeMap;

use super::assembled::{Assembled, Function, Message, ToolCall};
use super::usage::WireUsage;
use super::{Format, ProviderError, Usage};

/// Choices and tool calls that are followed. Ends of choices are followed even where there is no
/// room for texts.
const MAX_ENTRIES: usize = 512;
/// Names and reasons are cut here.
const SHORT: usize = 128;

/// What is known of a stream so far.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<ProviderError>,
    pub(super) ended: bool,
    /// What Anthropic's events said about usage.
    counts: WireUsage,
    /// Boxed: a map makes room for eleven at once, and nearly always there is one.
    choices: BTreeMap<u32, Box<Choice>>,
    /// Bytes of text that may still be taken.
    room: usize,
    /// Choices and tool calls that may still be begun.
    entries: usize,
    truncated: bool,
}

#[derive(Debug, Default)]
struct Choice {
    role: Option<String>,
    content: Option<String>,
    refusal: Option<String>,
    tools: BTreeMap<u32, Tool>,
    finish: Option<String>,
}

#[derive(Debug, Default)]
struct Tool {
    id: Option<String>,
    function: Function,
}

impl Draft {
    pub(super) fn new(room: usize) -> Self {
        Self {
            model: None,
            usage: None,
            error: None,
            ended: false,
            counts: WireUsage::default(),
            choices: BTreeMap::new(),
            room,
            entries: MAX_ENTRIES,
            truncated: false,
        }
    }

    pub(super) fn set_model(&mut self, model: Option<&str>) {
        if let (None, Some(model)) = (&self.model, model) {
            self.model = Some(short(model));
        }
    }

    pub(super) fn add_counts(&mut self, later: WireUsage) {
        self.counts.replace(later);
        self.usage = self.counts.normalised(Format::Messages);
    }

    /// Begins a choice, if it has not begun.
    pub(super) fn begin(&mut self, choice: u32, role: Option<&str>) {
        if let Some(choice) = self.choice(choice)
            && choice.role.is_none()
        {
            choice.role = role.map(short);
        }
    }

    pub(super) fn add_content(&mut self, choice: u32, text: &str) {
        let text = self.fitting(text);
        if let Some(choice) = self.choice(choice) {
            choice.content.get_or_insert_default().push_str(text);
        }
    }

    pub(super) fn add_refusal(&mut self, choice: u32, text: &str) {
        let text = self.fitting(text);
        if let Some(choice) = self.choice(choice) {
            choice.refusal.get_or_insert_default().push_str(text);
        }
    }

    /// Names a tool call, if it has no name yet: some providers repeat id and name.
    pub(super) fn name_tool(&mut self, choice: u32, tool: u32, id: Option<&str>, name: Option<&str>) {
        if let Some(tool) = self.tool(choice, tool) {
            tool.id = tool.id.take().or_else(|| id.map(short));
            if tool.function.name.is_empty() {
                tool.function.name = name.map(short).unwrap_or_default();
            }
        }
    }

    pub(super) fn add_arguments(&mut self, choice: u32, tool: u32, text: &str) {
        let text = self.fitting(text);
        if let Some(tool) = self.tool(choice, tool) {
            tool.function.arguments.push_str(text);
        }
    }

    pub(super) fn finish(&mut self, choice: u32, reason: &str) {
        if let Some(choice) = self.choice(choice) {
            choice.finish = Some(short(reason));
        }
    }

    /// Whether `expected` choices, and all that were begun, have ended.
    pub(super) fn finished(&self, expected: usize) -> bool {
        self.choices.len() >= expected && self.choices.values().all(|choice| choice.finish.is_some())
    }

    /// The text, as long as it is all that was said: a single choice, no tools, no refusal.
    pub(super) fn plain_text(&self) -> Option<&str> {
        let mut choices = self.choices.iter();
        let (first, more) = (choices.next(), choices.next());
        if more.is_some() || self.truncated {
            return None;
        }
        let Some((index, choice)) = first else { return Some("") };
        let plain = *index == 0 && choice.tools.is_empty() && choice.refusal.is_none();
        plain.then(|| choice.content.as_deref().unwrap_or_default())
    }

    pub(super) fn assemble(mut self, expected: usize, malformed: u64) -> Assembled {
        let finished = self.finished(expected);
        let finish_reasons = self.choices.values_mut().filter_map(|choice| choice.finish.take()).collect();
        let mut messages = self.choices.into_values().map(|choice| choice.into_message());
        let message = messages.next().map(|first| Message { alternatives: messages.collect(), ..first });
        Assembled {
            message,
            model: self.model,
            usage: self.usage,
            finish_reasons,
            error: self.error,
            finished,
            ended: self.ended,
            truncated: self.truncated,
            malformed,
        }
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        if !self.choices.contains_key(&index) && !self.take_entry() {
            return None;
        }
        Some(&mut **self.choices.entry(index).or_default())
    }

    fn tool(&mut self, choice: u32, index: u32) -> Option<&mut Tool> {
        let known = self.choice(choice)?.tools.contains_key(&index);
        if !known && !self.take_entry() {
            return None;
        }
        Some(self.choice(choice)?.tools.entry(index).or_default())
    }

    fn take_entry(&mut self) -> bool {
        let left = self.entries.checked_sub(1);
        self.truncated |= left.is_none();
        self.entries = left.unwrap_or(0);
        left.is_some()
    }

    /// As much of `text` as there is room for. Once something was cut, nothing follows.
    fn fitting<'a>(&mut self, text: &'a str) -> &'a str {
        let fits = text.get(..text.floor_char_boundary(self.room)).unwrap_or_default();
        self.room -= fits.len();
        if fits.len() < text.len() {
            self.truncated = true;
            self.room = 0;
        }
        fits
    }
}

impl Choice {
    fn into_message(self) -> Message {
        let call = |tool: Tool| ToolCall { id: tool.id, call_type: "function", function: tool.function };
        Message {
            role: self.role.unwrap_or_else(|| "assistant".to_owned()),
            content: self.content,
            tool_calls: self.tools.into_values().map(call).collect(),
            refusal: self.refusal,
            alternatives: Vec::new(),
        }
    }
}

fn short(text: &str) -> String {
    text.get(..text.floor_char_boundary(SHORT)).unwrap_or_default().to_owned()
}
