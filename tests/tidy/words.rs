//! Keeps prose in plain technical English: words that name no actor, doc comments that say nothing, and identifiers that
//! use another word than the glossary (docs/glossary.md).

use crate::{Breach, Source, check, check_can_fail, is_rust, rust};

/// Pronouns that hide which client, session, application or operator a sentence is about.
const VAGUE: [&str; 6] =
    ["who\u{65}ver", "who\u{6d}", "some\u{62}ody", "no\u{62}ody", "any\u{62}ody", "every\u{62}ody"];

/// Parts of identifiers that the glossary replaces, and the word to write.
const SYNONYMS: [(&str, &str); 14] = [
    ("outlet", "session writer"),
    ("roster", "session registry"),
    ("teller", "webhooks"),
    ("tells", "webhook events"),
    ("telling", "webhooks"),
    ("courier", "webhook sender"),
    ("farewell", "disconnect report"),
    ("asks", "callouts"),
    ("asker", "callout client"),
    ("presentee", "member"),
    ("inhabitant", "open connection"),
    ("told", "receipt"),
    ("comer", "new session"),
    ("wish", "request"),
];

/// The most words of a doc comment that says too little.
const DOC_WORDS_TOO_FEW: usize = 3;

/// Words that begin a question, and no doc comment.
const QUESTIONS: [&str; 5] = ["What", "Who", "Why", "How", "Where"];

/// Finds vague pronouns, wherever they stand in a text file.
pub(crate) fn vague(source: &Source) -> Vec<Breach> {
    let lower = source.text.to_lowercase();
    let message = |word: &str| {
        format!(
            "'{word}' names no actor: write the client, the session, the application, the operator, the caller …"
        )
    };
    VAGUE
        .into_iter()
        .flat_map(|word| rust::words(&lower, word).map(move |at| (word, at)).collect::<Vec<_>>())
        .map(|(word, at)| Breach { line: rust::line_at(&lower, at), message: message(word) })
        .collect()
}

/// Finds doc comments of a few words: `/// The topic.` repeats a name and explains nothing.
pub(crate) fn short_docs(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut block: Option<(usize, usize)> = None;
    for (number, line) in source.text.lines().chain([""]).enumerate() {
        match line.trim_start().strip_prefix("///") {
            Some(text) => {
                let (_, words) = block.get_or_insert((number + 1, 0));
                *words += text.split_whitespace().count();
            }
            None => {
                if let Some((line, words)) = block.take().filter(|(_, words)| *words <= DOC_WORDS_TOO_FEW) {
                    let message = format!(
                        "a doc comment of {words} words says too little: say what the item does or is"
                    );
                    breaches.push(Breach { line, message });
                }
            }
        }
    }
    breaches
}

/// Finds doc comments that begin like a question, `/// What a session missed.`, where rustdoc readers expect what the item is.
pub(crate) fn question_docs(source: &Source) -> Vec<Breach> {
    let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let mut is_inside = false;
    let mut breaches = Vec::new();
    for (number, line) in source.text.lines().map(str::trim_start).enumerate() {
        let first = if is_doc(line) && !is_inside { line[3..].split_whitespace().next() } else { None };
        is_inside = is_doc(line);
        if let Some(word) = first.filter(|word| QUESTIONS.contains(word)) {
            let message = format!("a doc comment begins with '{word}': begin with what the item is or does");
            breaches.push(Breach { line: number + 1, message });
        }
    }
    breaches
}

/// Finds identifiers that use another word than the glossary.
pub(crate) fn synonyms(source: &Source) -> Vec<Breach> {
    let code = rust::code_only(&source.text);
    let mut breaches = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let names = line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        for name in names {
            let parts = parts_of(name);
            let is_synonym = |part: &String, word: &str| part == word || part.strip_suffix('s') == Some(word);
            let found =
                SYNONYMS.iter().find(|(synonym, _)| parts.iter().any(|part| is_synonym(part, synonym)));
            if let Some((synonym, word)) = found {
                let message = format!("'{name}': the glossary says {word}, not {synonym}");
                breaches.push(Breach { line: number + 1, message });
            }
        }
    }
    breaches
}

/// The words of an identifier, in lower case.
fn parts_of(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        if letter != '_' {
            parts.last_mut().expect("there is always one").extend(letter.to_lowercase());
        }
    }
    parts
}

fn is_prose(source: &Source) -> bool {
    let is_generated = ["/dist/", "package-lock"].iter().any(|part| source.path.contains(part));
    !is_generated && source.is(&["rs", "md", "ts", "tsx", "js", "php", "toml", "html", "sh", "yaml", "yml"])
}

#[test]
fn prose_names_its_actors() {
    check(is_prose, vague);
}

#[test]
fn vague_prose_is_found() {
    let bad = format!("ok\n/// Closes who{}er is slow.\n", "ev");
    check_can_fail(vague, "a.rs", "/// Closes the slow session.\n", &bad, 2, "names no actor");
}

#[test]
fn doc_comments_say_something() {
    check(is_rust, short_docs);
}

#[test]
fn short_doc_comment_is_found() {
    let good = "/// The topic that the session\n/// joins.\nstruct A;\n";
    check_can_fail(short_docs, "a.rs", good, "struct A {\n    /// To what.\n    b: B,\n}\n", 2, "2 words");
}

#[test]
fn doc_comments_are_no_questions() {
    let is_checked = |path: &str| {
        ["broker/", "protocol/", "client-sdk/rust/", "cli/", "bench/src/"]
            .iter()
            .any(|root| path.starts_with(root))
    };
    check(
        |source| is_rust(source) && is_checked(&source.path) && !source.path.contains("tests"),
        question_docs,
    );
}

#[test]
fn question_in_a_doc_comment_is_found() {
    let good = "/// The missed publications.\n/// How many is not known.\nstruct A;\n";
    check_can_fail(
        question_docs,
        "a.rs",
        good,
        "struct A {\n    /// What was missed.\n    b: B,\n}\n",
        2,
        "'What'",
    );
}

#[test]
fn identifiers_use_the_words_of_the_glossary() {
    check(
        |source| is_rust(source) && source.path.contains("/src/") && !source.path.starts_with("tests/"),
        synonyms,
    );
}

#[test]
fn synonym_in_an_identifier_is_found() {
    let good = "// a roster\nstruct SessionRegistry;\n";
    check_can_fail(synonyms, "a.rs", good, "\nfn send_farewell() {}\n", 2, "disconnect report");
    check_can_fail(synonyms, "a.rs", good, "struct SessionRoster;\n", 1, "session registry");
    check_can_fail(synonyms, "a.rs", good, "struct Outlets;\n", 1, "session writer");
}
