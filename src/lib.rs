//! TrafficAlerted watches the traffic that transits a Linux gateway.

pub mod logging;
pub mod privileges;
pub mod sys;
pub mod time;

pub mod packet;

pub mod capture;
pub mod flow;

pub mod detect;

pub mod alert;

pub mod api;
pub mod engine;

pub mod config;
