//! Values that are one keyword out of a few.

use crate::alert::{Facility, WebhookFormat};
use crate::capture::{DirectionPolicy, EventLoop, WireExact};
use crate::detect::ScanRule;
use crate::logging::LogFormat;

/// A type with a keyword for each of its values.
pub(super) trait Keyword: Copy + 'static {
    /// Every value, in the order in which errors name them.
    const ALL: &'static [Self];

    /// The keyword of the value.
    fn keyword(self) -> &'static str;

    /// The value of a keyword.
    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.keyword() == text)
    }

    /// All keywords, as the rest of the sentence "write ...".
    fn choices() -> String {
        let words: Vec<String> = Self::ALL.iter().map(|state| format!("`{}`", state.keyword())).collect();
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

    fn reads_what_it_writes<T: Keyword + PartialEq + std::fmt::Debug>() {
        for &state in T::ALL {
            assert_eq!(T::read(state.keyword()), Some(state));
            assert_eq!(T::read(&state.keyword().to_uppercase()), None);
        }
        assert_eq!(T::read(""), None);
    }

    #[test]
    fn each_keyword_is_read_back_in_exact_case() {
        reads_what_it_writes::<bool>();
        reads_what_it_writes::<DirectionPolicy>();
        reads_what_it_writes::<WireExact>();
        reads_what_it_writes::<EventLoop>();
        reads_what_it_writes::<LogFormat>();
        reads_what_it_writes::<Facility>();
        reads_what_it_writes::<WebhookFormat>();
        reads_what_it_writes::<ScanRule>();
    }

    #[test]
    fn choices_make_a_sentence() {
        assert_eq!(bool::choices(), "`true` or `false`");
        assert_eq!(DirectionPolicy::choices(), "`auto`, `in`, `in+own` or `both`");
        assert_eq!(ScanRule::choices(), "`contacts` or `suspicious`");
    }
}
