//! Behaviour that a person can see, and the shape of the source tree: one binary, linked once.

mod abort_race;
mod agent_outage;
mod chat;
mod contract;
mod control_groups;
mod demo;
mod deploy;
mod gates;
mod looks;
mod marathon_answers;
mod marathon_failover;
mod marathon_pace;
mod pages;
mod policy_files;
mod probes_haproxy;
mod probes_prometheus;
mod process;
mod published_numbers;
mod readme;
mod rehearsal;
mod restarts;
mod slack_door;
mod steady_state;
mod stops;
mod support;
mod tidy;
