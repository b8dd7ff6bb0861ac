//! Makes the lines that are shipped, from the frames of the journal.

use std::sync::Arc;

use lockstep_queue::journal::{Frame, Gap, GapCause, Lost, Stamp};
use lockstep_queue::ship::{Assemble, Group};
use serde_json::json;

use super::contents::{Malformed, WHOLE, WholeHead, decode};
use super::record::{self, Call};

/// Makes the lines of one node.
#[derive(Debug)]
pub struct Lines {
    node: Arc<str>,
}

impl Lines {
    /// Lines that name a node.
    #[must_use]
    pub fn new(node: Arc<str>) -> Self {
        Self { node }
    }

    fn line(&self, fields: &[u8], stamp: Stamp) -> Vec<u8> {
        record::line(fields, &self.node, stamp).unwrap_or_else(|| self.unreadable("not an object", stamp))
    }

    /// Stands for frames that something else wrote, so that their place is not empty.
    fn unreadable(&self, why: &str, stamp: Stamp) -> Vec<u8> {
        tracing::error!(seq = stamp.seq, why, "frames of the audit journal can't be read");
        let fields = json!({"type": "gap", "cause": "unreadable", "lost": why});
        record::line(fields.to_string().as_bytes(), &self.node, stamp).unwrap_or_default()
    }
}

impl Assemble for Lines {
    fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8> {
        let mut call = Call::default();
        call.lost(group.lost);
        let taken = group.frames.iter().try_for_each(|frame| call.take(frame.kind, &frame.body));
        match taken.and_then(|()| call.fields().map_err(Malformed::from)) {
            Ok(fields) => self.line(&fields, stamp),
            Err(error) => self.unreadable(&error.to_string(), stamp),
        }
    }

    fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8> {
        match decode::<WholeHead>(&frame.body) {
            Ok((_, fields)) if frame.kind == WHOLE => self.line(&fields, stamp),
            Ok(_) => self.unreadable("a frame of a later release", stamp),
            Err(error) => self.unreadable(&error.to_string(), stamp),
        }
    }

    fn gap(&self, stamp: Stamp, gap: &Gap) -> Vec<u8> {
        let cause = match gap.cause {
            GapCause::Damaged => "damaged",
            GapCause::Unconfirmed => "unconfirmed",
            GapCause::MissingSegment => "missing_segment",
            GapCause::Removed => "passed_over",
        };
        let lost = match gap.lost {
            Lost::Unknown => "unknown",
            Lost::Frame { .. } => "one frame",
            Lost::Notes => "notes of the journal",
        };
        let bytes = gap.to.as_u64().saturating_sub(gap.from.as_u64());
        let fields = json!({"type": "gap", "cause": cause, "lost": lost, "bytes": bytes});
        self.line(fields.to_string().as_bytes(), stamp)
    }

    fn single_at(&self, frame: &Frame) -> Option<u64> {
        let (head, _) = decode::<WholeHead>(&frame.body).ok()?;
        u64::try_from(head.at.as_millisecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use lockstep_queue::journal::Position;
    use serde_json::Value;

    use super::*;
    use crate::audit::contents::{BEGIN, END, EndHead, frame};
    use crate::audit::schema;

    #[test]
    fn what_is_missing_is_said() {
        let lines = Lines::new("n".into());
        let stamp = Stamp { seq: 1, at_millis: 1 };
        let json = |line: Vec<u8>| {
            let record = serde_json::from_slice::<Value>(&line).unwrap();
            schema::check(&record);
            record
        };
        let (from, to) = (Position::new(10), Position::new(30));
        let gap = json(lines.gap(stamp, &Gap { from, to, cause: GapCause::Removed, lost: Lost::Unknown }));
        assert_eq!(
            (&gap["type"], &gap["cause"], &gap["bytes"]),
            (&json!("gap"), &json!("passed_over"), &json!(20))
        );
        json(lines.unreadable("no JSON", stamp));
        let body = frame(&EndHead { outcome: "complete".to_owned(), ..EndHead::interrupted() }, []);
        let begin = json!({
            "id": "01A", "at": "2026-11-25T10:00:00Z", "client": {}, "method": "GET", "path": "/", "headers": [],
            "format": "other", "body": {"bytes": 0},
        });
        let begin = frame(&begin, []);
        let frame = |kind, body| Frame { position: from, end: to, kind, group: 1, stamp: Some(stamp), body };
        let frames = vec![frame(BEGIN, begin), frame(END, body)];
        for (lost, shown) in [(0, Value::Null), (2, json!(2))] {
            let record = json(lines.group(stamp, &Group { frames: frames.clone(), lost }));
            assert_eq!(
                (&record["lost_frames"], &record["response"]["truncated"]),
                (&shown, &json!(lost > 0))
            );
        }
    }
}
