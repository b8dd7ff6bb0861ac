//! The conversation: the system prompt apart, and turns that alternate.

use serde_json::value::RawValue;

use super::block::{Block, Role, Turn};
use super::fields::Untranslatable;
use super::message::{Translated, translate};

/// A conversation in Anthropic's form.
pub(super) struct Conversation<'a> {
    /// All system and developer prompts, in order: Anthropic has them at the start.
    pub(super) system: Vec<Block<'a>>,
    /// The turns. Neighbours of the same role are one turn.
    pub(super) turns: Vec<Turn<'a>>,
}

impl<'a> Conversation<'a> {
    /// Translates the messages. If all are system prompts they become the user's turn, for there
    /// must be one.
    pub(super) fn of(messages: Vec<&'a RawValue>) -> Result<Self, Untranslatable> {
        let mut conversation = Self { system: Vec::new(), turns: Vec::new() };
        for (at, message) in messages.into_iter().enumerate() {
            match translate(message, &format!("messages[{at}]"))? {
                Translated::System(blocks) => conversation.system.extend(blocks),
                Translated::Turn(role, blocks) => conversation.add(role, blocks),
            }
        }
        if conversation.turns.is_empty() {
            let prompts = std::mem::take(&mut conversation.system);
            conversation.add(Role::User, prompts);
        }
        if conversation.turns.is_empty() {
            return Err(Untranslatable::invalid("messages", "there is nothing to answer"));
        }
        for turn in &mut conversation.turns {
            // Anthropic wants the results of tools ahead of all else.
            turn.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
        }
        Ok(conversation)
    }

    /// Appends the beginning of the answer. Anthropic refuses white space at the end of it, so
    /// that is cut off and returned: the continuation may begin with it again.
    pub(super) fn begin_answer(&mut self, prefill: &str) -> String {
        if !prefill.is_empty() {
            self.add(Role::Assistant, vec![Block::text(prefill)]);
        }
        self.trim_end()
    }

    fn add(&mut self, role: Role, mut blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(last) if last.role == role => last.content.append(&mut blocks),
            _ => self.turns.push(Turn { role, content: blocks }),
        }
    }

    fn trim_end(&mut self) -> String {
        let Some(last) = self.turns.last_mut().filter(|last| last.role == Role::Assistant) else {
            return String::new();
        };
        let Some(Block::Text { text, .. }) = last.content.last_mut() else { return String::new() };
        let cut = text.split_off(text.trim_end().len());
        if text.is_empty() {
            last.content.pop();
        }
        if last.content.is_empty() {
            self.turns.pop();
        }
        cut
    }
}
