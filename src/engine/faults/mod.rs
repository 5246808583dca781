//! One file per fault: what a policy declares and what was drawn, to steps.

pub mod agent_outage;
pub mod kill_task;
