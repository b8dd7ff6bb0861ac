//! How keys are named. All keys of a queue begin with the same text, whose part in braces is the queue's name: a hash
//! tag, which keeps them in one slot. Braces in names are encoded, so that they can't end the tag.

use crate::jobs::name::QueueName;

/// Begins all keys and channels of a storage.
#[derive(Debug, Clone)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Self {
        Self(encoded(prefix))
    }

    /// What all keys of a queue begin with.
    pub(super) fn queue(&self, queue: &QueueName) -> String {
        format!("{}:{{{}}}:", self.0, encoded(queue.as_str()))
    }

    /// Where the version of the layout is noted.
    pub(super) fn schema(&self) -> String {
        format!("{}:schema", self.0)
    }

    /// The set of all queues that were ever used.
    pub(super) fn queues(&self) -> String {
        format!("{}:queues", self.0)
    }

    /// Who has a role.
    pub(super) fn role(&self, role: &QueueName) -> String {
        format!("{}:role:{{{}}}", self.0, encoded(role.as_str()))
    }
}

fn encoded(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut encoded, character| {
        match character {
            '%' => encoded.push_str("%25"),
            '{' => encoded.push_str("%7B"),
            '}' => encoded.push_str("%7D"),
            other => encoded.push(other),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tag_is_the_whole_name_and_names_stay_apart() {
        let prefix = Prefix::new("p{x}");
        let names = ["a", "{a}", "}a", "a}", "%7Ba%7D", "{", "}{", "a:b", "a:{b}"];
        let bases: Vec<_> = names.iter().map(|name| prefix.queue(&QueueName::new(name).unwrap())).collect();
        for (place, base) in bases.iter().enumerate() {
            assert!(
                bases.iter().skip(place + 1).all(|other| other != base && !other.starts_with(base.as_str()))
            );
            let (start, end) = (base.find('{').unwrap(), base.find('}').unwrap());
            assert_eq!(&base[start - 1..=start], ":{");
            assert_eq!(&base[end..], "}:", "the first closing brace ends the name: {base}");
        }
    }
}
