//! A document in Markdown: its headings, links and code.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A file in Markdown.
pub(super) struct Document {
    pub(super) text: String,
    pub(super) codes: Vec<Code>,
    pub(super) headings: Vec<String>,
    /// The URL fragments of the headings.
    pub(super) anchors: BTreeSet<String>,
    pub(super) links: Vec<String>,
}

/// A block of code, or code in a sentence.
pub(super) struct Code {
    /// `None` in a sentence, else what the block is marked as, which may be empty.
    pub(super) language: Option<String>,
    pub(super) text: String,
}

impl Document {
    pub(super) fn parse(text: String) -> Self {
        let (mut codes, mut headings, mut links): (Vec<Code>, Vec<String>, Vec<String>) = Default::default();
        let (mut is_heading, mut is_block) = (false, false);
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(dest_url.to_string());
                }
                Event::Html(html) | Event::InlineHtml(html) => links.extend(attributes(&html)),
                Event::Start(Tag::Heading { .. }) => {
                    is_heading = true;
                    headings.push(String::new());
                }
                Event::End(TagEnd::Heading(_)) => is_heading = false,
                Event::Start(Tag::CodeBlock(kind)) => {
                    is_block = true;
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    codes.push(Code { language: Some(language), text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => is_block = false,
                Event::Text(part) if is_block => codes.last_mut().unwrap().text += &part,
                Event::Text(part) if is_heading => *headings.last_mut().unwrap() += &part,
                Event::Code(code) => {
                    if is_heading {
                        *headings.last_mut().unwrap() += &code;
                    }
                    codes.push(Code { language: None, text: code.to_string() });
                }
                _ => {}
            }
        }
        let mut times = BTreeMap::new();
        let anchors = headings.iter().map(|heading| {
            let anchor = anchor(heading);
            let before = times.entry(anchor.clone()).and_modify(|before| *before += 1).or_insert(0);
            if *before == 0 { anchor } else { format!("{anchor}-{before}") }
        });
        Self { anchors: anchors.collect(), text, codes, headings, links }
    }

    pub(super) fn has_code(&self, text: &str) -> bool {
        self.codes.iter().any(|code| code.is_inline() && code.text == text)
    }
}

impl Code {
    pub(super) fn is_inline(&self) -> bool {
        self.language.is_none()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }
}

/// Returns the values of the attributes of HTML tags that are links.
fn attributes(html: &str) -> Vec<String> {
    let values = ["src=\"", "srcset=\"", "href=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// Returns the URL fragment that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}
