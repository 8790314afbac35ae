//! A tree of patterns: everything that matches a topic, found in steps that do not grow with what does not match.

use std::collections::HashMap;

use fanwire_protocol::{Pattern, Topic};
use foldhash::fast::RandomState;

/// Values under patterns. Finding the values for a topic takes a walk over its levels with one look-up each; only
/// patterns that share the levels walked so far are ever touched.
#[derive(Debug)]
pub struct PatternTree<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Debug)]
struct Node<V> {
    /// The value of the pattern that ends at this node.
    here: Option<V>,
    /// The value of the pattern that ends here with `>`.
    tail: Option<V>,
    star: Option<Box<Node<V>>>,
    children: HashMap<Box<str>, Node<V>, RandomState>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { here: None, tail: None, star: None, children: HashMap::default() }
    }
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.here.is_none() && self.tail.is_none() && self.star.is_none() && self.children.is_empty()
    }
}

impl<V> Default for PatternTree<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<V> PatternTree<V> {
    /// The number of patterns with a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no pattern has a value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value under `pattern`, made by `default` if there is none yet.
    pub fn entry(&mut self, pattern: &Pattern, default: impl FnOnce() -> V) -> &mut V {
        let mut node = &mut self.root;
        let mut is_tail = false;
        for level in pattern.levels() {
            match level {
                ">" => is_tail = true,
                "*" => node = node.star.get_or_insert_default(),
                name => {
                    if !node.children.contains_key(name) {
                        node.children.insert(Box::from(name), Node::default());
                    }
                    node = node.children.get_mut(name).expect("the level was just put in");
                }
            }
        }
        let place = if is_tail { &mut node.tail } else { &mut node.here };
        self.len += usize::from(place.is_none());
        place.get_or_insert_with(default)
    }

    /// The value under `pattern`.
    pub fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut V> {
        let mut node = &mut self.root;
        for level in pattern.levels() {
            node = match level {
                ">" => return node.tail.as_mut(),
                "*" => node.star.as_deref_mut()?,
                name => node.children.get_mut(name)?,
            };
        }
        node.here.as_mut()
    }

    /// Takes the value under `pattern` out, and every node that is of no more use.
    pub fn remove(&mut self, pattern: &Pattern) -> Option<V> {
        let levels: Vec<&str> = pattern.levels().collect();
        let removed = remove_below(&mut self.root, &levels);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Calls `visit` with the value of every pattern that matches `topic`.
    pub fn for_each_match<'a>(&'a self, topic: &Topic, mut visit: impl FnMut(&'a V)) {
        if self.is_empty() {
            return;
        }
        let mut levels: [&str; fanwire_protocol::TOPIC_LEVELS_MAX] = [""; fanwire_protocol::TOPIC_LEVELS_MAX];
        let mut count = 0;
        for (place, level) in levels.iter_mut().zip(topic.levels()) {
            *place = level;
            count += 1;
        }
        let levels = &levels[..count];
        if topic.is_reserved() {
            // Wildcards at the first level leave the broker's own topics alone.
            if let Some(child) = levels.first().and_then(|first| self.root.children.get(*first)) {
                visit_matches(child, &levels[1..], &mut visit);
            }
        } else {
            visit_matches(&self.root, levels, &mut visit);
        }
    }
}

fn remove_below<V>(node: &mut Node<V>, levels: &[&str]) -> Option<V> {
    let Some((level, rest)) = levels.split_first() else { return node.here.take() };
    match *level {
        ">" => node.tail.take(),
        "*" => {
            let star = node.star.as_deref_mut()?;
            let removed = remove_below(star, rest);
            if star.is_empty() {
                node.star = None;
            }
            removed
        }
        name => {
            let child = node.children.get_mut(name)?;
            let removed = remove_below(child, rest);
            if child.is_empty() {
                node.children.remove(name);
            }
            removed
        }
    }
}

fn visit_matches<'a, V>(node: &'a Node<V>, levels: &[&str], visit: &mut impl FnMut(&'a V)) {
    let Some((level, rest)) = levels.split_first() else {
        if let Some(value) = &node.here {
            visit(value);
        }
        return;
    };
    if let Some(value) = &node.tail {
        visit(value);
    }
    if let Some(star) = &node.star {
        visit_matches(star, rest, visit);
    }
    if let Some(child) = node.children.get(*level) {
        visit_matches(child, rest, visit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, proptest};

    use super::*;

    fn name(wild: bool) -> impl Strategy<Value = String> {
        let level = move |index: usize| match index {
            0 => "a",
            1 => "b",
            2 => "$c",
            3 if wild => "*",
            _ => "d",
        };
        (prop::collection::vec(0usize..5, 1..4), 0usize..4).prop_map(move |(indices, tail)| {
            let mut levels: Vec<&str> = indices.into_iter().map(level).collect();
            if wild && tail == 0 {
                levels.push(">");
            }
            levels.join(".")
        })
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_naive_matching_finds(
            patterns in prop::collection::vec((name(true), prop::bool::ANY), 0..30),
            topics in prop::collection::vec(name(false), 1..10),
        ) {
            let mut tree = PatternTree::default();
            let mut naive: Vec<Pattern> = Vec::new();
            for (text, keep) in &patterns {
                let pattern: Pattern = text.parse().unwrap();
                if *keep {
                    tree.entry(&pattern, || text.clone());
                    if !naive.contains(&pattern) {
                        naive.push(pattern);
                    }
                } else {
                    let was_there = naive.iter().position(|known| *known == pattern);
                    assert_eq!(tree.remove(&pattern).is_some(), was_there.is_some());
                    if let Some(index) = was_there {
                        naive.remove(index);
                    }
                }
            }
            assert_eq!(tree.len(), naive.len());
            for topic in &topics {
                let topic: Topic = topic.parse().unwrap();
                let mut found = Vec::new();
                tree.for_each_match(&topic, |text: &String| found.push(text.clone()));
                let mut expected: Vec<String> =
                    naive.iter().filter(|pattern| pattern.matches(&topic)).map(Pattern::to_string).collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{topic}");
            }
            for pattern in naive {
                assert_eq!(tree.get_mut(&pattern).cloned(), Some(pattern.to_string()));
                tree.remove(&pattern);
            }
            assert!(tree.root.is_empty(), "nothing stays behind");
        }
    }
}
