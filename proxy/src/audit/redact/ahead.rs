//! How far a text that goes on is settled: before the first place at which a match may begin that takes more
//! than there is.

use regex::Regex;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::NFA;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Repetition};

/// Looks ahead for one pattern.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Nothing if the pattern is beyond such an automaton: then nothing is settled.
    automaton: Option<DFA>,
}

impl Ahead {
    pub(super) fn new(pattern: &Regex) -> Self {
        let hir = regex_syntax::parse(pattern.as_str()).ok();
        let nfa = hir.and_then(|hir| NFA::compiler().build_from_hir(&without_looks(&hir)).ok());
        // Not only the match that is found first: without its conditions it may be another one.
        let config = DFA::config().match_kind(MatchKind::All).minimum_cache_clear_count(Some(0));
        Self { automaton: nfa.and_then(|nfa| DFA::builder().configure(config).build_from_nfa(nfa).ok()) }
    }

    /// The first place from `from` on at which a match may begin that does not end in `text`.
    pub(super) fn settled(&self, text: &str, from: usize) -> usize {
        let Some(automaton) = &self.automaton else { return from };
        let mut cache = automaton.create_cache();
        let mut places = (from..text.len()).filter(|place| text.is_char_boundary(*place));
        places.find(|place| may_go_on(automaton, &mut cache, text, *place)).unwrap_or(text.len())
    }
}

/// A pattern that asks nothing of what is around a match, which matches all the more.
fn without_looks(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Repetition(repeated) => {
            Hir::repetition(Repetition { sub: Box::new(without_looks(&repeated.sub)), ..repeated.clone() })
        }
        HirKind::Capture(capture) => without_looks(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(without_looks).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(without_looks).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

/// Whether the automaton is not done with what begins at `place` when the text ends.
fn may_go_on(automaton: &DFA, cache: &mut Cache, text: &str, place: usize) -> bool {
    let input = Input::new(text).range(place..).anchored(Anchored::Yes);
    let Ok(mut state) = automaton.start_state_forward(cache, &input) else { return true };
    for byte in text.bytes().skip(place) {
        match automaton.next_state(cache, state, byte) {
            Ok(next) if next.is_dead() => return false,
            Ok(next) if !next.is_quit() => state = next,
            _ => return true,
        }
    }
    // A match shows a byte late: whether there is more to come than that shows with the next one.
    let ends = |byte| automaton.next_state(cache, state, byte).is_ok_and(|next| next.is_dead());
    !(0..=u8::MAX).all(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_settled_up_to_what_may_go_on() {
        for (pattern, text, settled) in [
            (r"secret-\d+", "a se", 2),
            (r"secret-\d+", "a secret-12", 2),
            (r"secret-\d+", "a secret-12.", 12),
            (r"secret-\d+", "nothing", 7),
            (r"\b\d{3}\b", "x 12", 2),
            (r"\b\d{3}\b", "é 123", 3),
            (r"\b\d{3}\b", "x 123 ", 6),
            (r"(a\b|ab)c", "xa", 1),
            (r"a\b|abc", "xab", 1),
            (r"\d+$", "12 3", 3),
            (r"a.*b", "xa and more", 1),
            (r"(?i)grüß", "ein GRÜ", 4),
        ] {
            let ahead = Ahead::new(&Regex::new(pattern).unwrap());
            assert_eq!(ahead.settled(text, 0), settled, "{pattern} in {text:?}");
        }
    }
}
