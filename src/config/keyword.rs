//! The types whose values are written as one keyword out of a few.

use crate::alert::{Facility, WebhookFormat};
use crate::capture::{DirectionPolicy, EventLoop, WireExact};
use crate::detect::ScanRule;
use crate::logging::LogFormat;
use crate::sandbox::SandboxMode;

/// A type with a keyword for each of its values.
pub(super) trait Keyword: Copy + 'static {
    /// Every value, in the order in which errors name them.
    const ALL: &'static [Self];

    /// Returns the keyword of the value.
    fn keyword(self) -> &'static str;

    /// Returns the value of the keyword `text`, or `None` if there is no such keyword.
    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.keyword() == text)
    }

    /// Returns all keywords, as the rest of the sentence "write ...".
    fn choices() -> String {
        let words: Vec<String> = Self::ALL.iter().map(|value| format!("`{}`", value.keyword())).collect();
        match words.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [init @ .., last] => format!("{} or {last}", init.join(", ")),
        }
    }
}

impl Keyword for bool {
    const ALL: &'static [Self] = &[true, false];

    fn keyword(self) -> &'static str {
        match self {
            true => "true",
            false => "false",
        }
    }
}

impl Keyword for DirectionPolicy {
    const ALL: &'static [Self] = &[Self::Auto, Self::In, Self::InAndOwn, Self::Both];

    fn keyword(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::In => "in",
            Self::InAndOwn => "in+own",
            Self::Both => "both",
        }
    }
}

impl Keyword for WireExact {
    const ALL: &'static [Self] = &[Self::Auto, Self::Off];

    fn keyword(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
        }
    }
}

impl Keyword for SandboxMode {
    const ALL: &'static [Self] = &[Self::On, Self::Off];

    fn keyword(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl Keyword for EventLoop {
    const ALL: &'static [Self] = &[Self::Auto, Self::IoUring, Self::Epoll];

    fn keyword(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl Keyword for LogFormat {
    const ALL: &'static [Self] = &[Self::Text, Self::Json];

    fn keyword(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Keyword for WebhookFormat {
    const ALL: &'static [Self] =
        &[Self::Json, Self::Slack, Self::Discord, Self::Mattermost, Self::Ntfy, Self::Alertmanager];

    fn keyword(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Mattermost => "mattermost",
            Self::Ntfy => "ntfy",
            Self::Alertmanager => "alertmanager",
        }
    }
}

impl Keyword for Facility {
    const ALL: &'static [Self] = Self::ALL;

    fn keyword(self) -> &'static str {
        self.name()
    }
}

impl Keyword for ScanRule {
    const ALL: &'static [Self] = &[Self::Contacts, Self::Suspicious];

    fn keyword(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Suspicious => "suspicious",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_keywords_read_back<T: Keyword + PartialEq + std::fmt::Debug>() {
        for &value in T::ALL {
            assert_eq!(T::read(value.keyword()), Some(value));
            assert_eq!(T::read(&value.keyword().to_uppercase()), None);
        }
        assert_eq!(T::read(""), None);
    }

    #[test]
    fn each_keyword_is_read_back_in_exact_case() {
        assert_keywords_read_back::<bool>();
        assert_keywords_read_back::<DirectionPolicy>();
        assert_keywords_read_back::<WireExact>();
        assert_keywords_read_back::<SandboxMode>();
        assert_keywords_read_back::<EventLoop>();
        assert_keywords_read_back::<LogFormat>();
        assert_keywords_read_back::<Facility>();
        assert_keywords_read_back::<WebhookFormat>();
        assert_keywords_read_back::<ScanRule>();
    }

    #[test]
    fn choices_are_listed_as_in_a_sentence() {
        assert_eq!(bool::choices(), "`true` or `false`");
        assert_eq!(DirectionPolicy::choices(), "`auto`, `in`, `in+own` or `both`");
        assert_eq!(ScanRule::choices(), "`contacts` or `suspicious`");
    }
}
