//! The map of the site: which path is answered by whom.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::{Request, Response, StatusCode};

use super::guard::{self, Refusal};
use super::mutes::{self, Mutes};
use super::view::{self, Capabilities};
use super::{assets, legacy, reply, v1};
use crate::alert::{Origins, Report};
use crate::flow::Published;

/// Everything that can be asked for.
#[derive(Debug)]
pub(super) struct Site {
    /// `/capabilities`: the limits in force.
    capabilities: Arc<Published<Capabilities>>,
    report: Arc<Published<Report>>,
    origins: Arc<Published<Origins>>,
    active: PerReport,
    all: PerReport,
    alerts: PerReport,
    mutes: Option<Mutes>,
}

impl Site {
    pub(super) fn new(
        capabilities: Arc<Published<Capabilities>>,
        report: Arc<Published<Report>>,
        origins: Arc<Published<Origins>>,
    ) -> Self {
        let [active, all, alerts] = Default::default();
        Self { capabilities, report, origins, active, all, alerts, mutes: None }
    }

    /// The same with a desk that takes orders about mutes.
    pub(super) fn with_mutes(self, mutes: Mutes) -> Self {
        Self { mutes: Some(mutes), ..self }
    }

    /// Answers one request, whatever it is.
    pub(super) async fn serve<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match (&self.mutes, request.uri().path().strip_prefix(mutes::PATH)) {
            (Some(mutes), Some(rest)) if rest.is_empty() || rest.starts_with('/') => {
                mutes.answer(request).await
            }
            _ => self.answer(&request),
        }
    }

    /// Answers a request to read. Its body is never read.
    fn answer<B: Body>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if let Err(refusal) = guard::admit(request) {
            return reply::refusal(refusal);
        }
        let capabilities = self.capabilities.read();
        let hide = capabilities.no_destinations;
        match request.uri().path() {
            "/active" => reply::json(self.active.of(&self.report, |report| legacy::active(report, hide))),
            "/all" => reply::json(self.all.of(&self.report, |report| legacy::all(report, hide))),
            "/capabilities" => reply::json(view::json(&*capabilities)),
            "/healthz" => reply::text("ok"),
            "/api/v1/alerts" => {
                let origins = self.origins.read();
                reply::json(self.alerts.of(&self.report, |report| v1::alerts(report, &origins)))
            }
            "/api/v1/sinks" => reply::json(v1::sinks(&self.report.read())),
            "/api/v1/accounting" => reply::json(v1::accounting(&self.report.read())),
            "/dashboard" => reply::redirect(StatusCode::PERMANENT_REDIRECT, "/dashboard/"),
            "/" => reply::redirect(StatusCode::TEMPORARY_REDIRECT, "/dashboard/"),
            path => match path.strip_prefix("/dashboard/") {
                Some(file) => assets::answer(file, request.headers()),
                None => reply::refusal(NOT_FOUND),
            },
        }
    }
}

/// A body that is written once for a report and shared by everybody who asks while that report is current.
#[derive(Debug, Default)]
struct PerReport(Mutex<(Weak<Report>, Bytes)>);

impl PerReport {
    fn of(&self, report: &Published<Report>, write: impl FnOnce(&Report) -> Bytes) -> Bytes {
        let report = report.read();
        // One thread serves all connections, so nobody ever waits here.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The weak reference keeps the address from being used again without keeping the report alive, so
        // equal addresses are the same report.
        if !std::ptr::eq(held.0.as_ptr(), Arc::as_ptr(&report)) {
            *held = (Arc::downgrade(&report), write(&report));
        }
        held.1.clone()
    }
}

const NOT_FOUND: Refusal = Refusal {
    status: StatusCode::NOT_FOUND,
    detail: "there are /active, /all, /capabilities, /healthz, /api/v1/accounting, /api/v1/alerts, /api/v1/mutes, /api/v1/sinks and /dashboard/",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_once_per_report() {
        let report = Published::new(Report::default());
        let body = PerReport::default();
        let mut written = 0;
        let mut ask = |report: &Published<Report>| {
            body.of(report, |_| {
                written += 1;
                Bytes::from(written.to_string())
            })
        };
        assert_eq!(ask(&report), "1");
        assert_eq!(ask(&report), "1");
        report.publish(Report::default());
        assert_eq!(ask(&report), "2", "an equal report that is another one");
        assert_eq!(ask(&report), "2");
    }

    #[test]
    fn the_cache_does_not_keep_an_old_report_alive() {
        let report = Published::new(Report::default());
        let body = PerReport::default();
        body.of(&report, |_| Bytes::new());
        let old = Arc::downgrade(&report.read());
        report.publish(Report::default());
        assert!(old.upgrade().is_none());
    }
}
