//! What stops the start, as far as it can be seen without changing anything. `check` and the start look for the same
//! and say the same; the start finds the rest, such as a port that another program has, when it opens things.

use nix::unistd::geteuid;
use traffic_alerted::api;
use traffic_alerted::config::Config;
use traffic_alerted::privileges::Identity;
use traffic_alerted::store;

use super::{exit, state};

/// Returns each reason not to start with `config` as the user of `identity`. What this process has no right to look at
/// is left to the start. It may wait for a disk.
pub(super) fn refusals(config: &Config, identity: &Identity) -> Vec<anyhow::Error> {
    let owners = owners(config, identity);
    let of_api = api::refusals(&config.api_options(), &owners).into_iter().map(anyhow::Error::from);
    let of_state = state::directory(config).and_then(|folder| store::refusal(&folder, &owners));
    of_api.chain(of_state.map(anyhow::Error::from)).collect()
}

/// Reports the reasons, and returns the last one as the error; nothing happens if there is none.
///
/// # Errors
/// There is a reason.
pub(super) fn stop_for(mut refusals: Vec<anyhow::Error>) -> anyhow::Result<()> {
    let Some(last) = refusals.pop() else { return Ok(()) };
    refusals.iter().for_each(|refusal| {
        exit::report(refusal);
    });
    Err(last)
}

/// Returns the users, besides root, to whom files of the program may belong.
fn owners(config: &Config, identity: &Identity) -> Vec<u32> {
    match &identity.account {
        Some(account) => vec![account.uid],
        // Only root changes the user. Whoever is not root may check the configuration of another user.
        None => {
            let configured = config.user().find().ok().flatten().map(|account| account.uid);
            [Some(geteuid().as_raw()), configured].into_iter().flatten().collect()
        }
    }
}
