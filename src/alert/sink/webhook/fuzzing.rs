//! Any bytes as the answer of a webhook's receiver, read by the client that reads it in the program.

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::*;
use crate::alert::{Notice, sample};
use crate::escape::is_hidden;
use crate::time::UnixNanos;

/// Answers a request with these bytes, which arrive at once or in parts: the notice is delivered or there is a failure
/// in one line of bounded length, without secrets and with a bounded pause, and the parts do not
/// change which.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn webhook_answer(answer: &[u8]) {
    let [whole, parts] = [usize::MAX, 7].map(|part_bytes| deliver(answer, part_bytes));
    // How much of a damaged body is shown depends on the parts.
    let outcome =
        |result: &Result<usize, Failure>| result.as_ref().copied().map_err(|failure| failure.is_passing);
    assert_eq!(outcome(&whole), outcome(&parts));
    let Err(Failure { why, retry_after, .. }) = whole else { return };
    assert!(!why.contains(is_hidden) && why.chars().count() < 500, "{why:?}");
    let names_secret = |secret: &str| why.contains(secret) && !contains(answer, secret.as_bytes());
    assert!(!names_secret(PATH) && !names_secret(TOKEN), "{why:?}");
    let retry = Retry::default();
    for failures in [1, 7, u32::MAX] {
        let pause = retry.pause(failures, retry_after);
        assert!(pause >= retry.first_pause && pause <= retry.longest_retry_after);
    }
}

fn deliver(answer: &[u8], part_bytes: usize) -> Result<usize, Failure> {
    let url = Secret::Here(format!("http://127.0.0.1/{PATH}"));
    let options = WebhookOptions::new(url, WebhookFormat::Json, Some(Secret::Here(TOKEN.to_owned())));
    let mut webhook = Webhook::new(options, Retry::default());
    let receiver = CannedReceiver { answer: answer.to_vec(), part_bytes };
    let agent = Agent::with_parts(agent_config(&webhook.options, &[]), receiver, SystemResolver);
    webhook.agent = Some((agent, false));
    let alert = sample::alert(UnixNanos(1_790_000_000_000_000_000));
    let queued = Arc::new(QueuedNotice::new(1, alert.opened_at, Notice::Test(alert)));
    let shutdown = Shutdown::new().expect("two descriptors are free");
    webhook.deliver(&[queued], &shutdown)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const PATH: &str = "hooks-secret-path";
const TOKEN: &str = "secret-token";

/// A receiver in memory: it takes any request, answers with these bytes, and closes.
#[derive(Debug)]
struct CannedReceiver {
    answer: Vec<u8>,
    part_bytes: usize,
}

impl Connector for CannedReceiver {
    type Out = CannedAnswer;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<CannedAnswer>, ureq::Error> {
        let buffers = LazyBuffers::new(128 * 1024, 128 * 1024);
        let (answer, part_bytes) = (self.answer.clone(), self.part_bytes);
        Ok(Some(CannedAnswer { buffers, answer, part_bytes, at: 0 }))
    }
}

/// The connection, of which the first `at` bytes of the answer were read.
#[derive(Debug)]
struct CannedAnswer {
    buffers: LazyBuffers,
    answer: Vec<u8>,
    part_bytes: usize,
    at: usize,
}

impl Transport for CannedAnswer {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let input = self.buffers.input_append_buf();
        let rest = &self.answer[self.at..];
        let len = rest.len().min(input.len()).min(self.part_bytes);
        input[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        self.buffers.input_appended(len);
        Ok(len > 0)
    }

    fn is_open(&mut self) -> bool {
        self.at < self.answer.len()
    }
}
