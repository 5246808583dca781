//! Adapter: Marathon 1.4 to 1.11.
//!
//! Reads are tried on every node; a kill is written once, on one connection, and never again. Nothing
//! here scales, wipes or forces: those parameters do not exist in this code.
//!
//! # What it keeps to, and the test that shows it
//!
//! 1. A kill is never sent twice, and only at exactly the incarnation that was planned:
//!    `after_the_write_no_other_node_is_tried`, `the_target_gate_wants_exactly_the_planned_incarnations`.
//! 2. 200 is a request; a kill that does not show is told to people, and is done with only when that is proven:
//!    `people_are_told_of_a_kill_that_should_have_shown_by_now_and_why_it_may_not_have`,
//!    `a_kill_that_marathon_dropped_did_nothing_once_its_task_is_well_long_after_its_grace`.
//! 3. What Marathon leaves out of its answer is noticed: `what_marathon_left_out_is_known_by_instance`.
//! 4. No kill during a deployment; up to 1.7 one outstanding kill for each app:
//!    `the_deployment_gate_waits_for_marathons_own_business`, `an_old_marathon_gets_no_kill_while_another_is_outstanding`.
//! 5. No scale, no wipe, no force: `a_kill_is_exactly_these_bytes`, `a_pods_instances_are_ended_by_a_bare_array_with_its_length`.
//! 6. Health is counted from rows, by answers after the start: `inherited_health_is_never_counted_along_the_recorded_kill`,
//!    `no_report_counts_only_where_there_is_no_health_check`.
//! 7. Instances count, not rows: `inherited_health_does_not_count`, `instances_lose_only_the_counter_of_1_8`.
//! 8. Unknown, absent, null and double-natured fields do no harm: `extra_null_and_unknown_fields_do_no_harm`,
//!    `what_the_client_makes_of_every_recorded_answer_is_as_reviewed`.
//! 9. Errors need not be JSON: `only_definite_answers_are_taken_as_definite`, `reads_go_on_to_the_next_node_only_where_it_may_know_better`.
//! 10. Content-Length, the exact Accept, redirects by hand to listed hosts:
//!     `a_kill_is_exactly_these_bytes`, `redirects_are_followed_with_credentials_to_listed_hosts_only`,
//!     `a_follower_that_redirects_to_a_listed_host_gets_the_stream_from_there_with_credentials`.
//! 11. The event stream, whatever its line ends and its silence: `line_ends_make_no_difference`,
//!     `half_a_minute_of_silence_ends_a_stream_however_open_its_socket_is`, `ten_thousand_events_in_a_second_lead_to_one_look`.
//! 12. Two kinds of 403: `two_403s_are_told_apart_by_their_words`.
//! 13. Version and features once for each leader: `a_leader_is_asked_once_who_it_is_and_another_leader_again`.
//! 14. DC/OS tokens are renewed in time, and once when refused: `a_token_is_renewed_before_it_ends`,
//!     `a_token_that_is_refused_leads_to_one_new_login`.
//! 15. Agents come from Mesos; see the adapter `mesos`.
//! 16. Resident, unreachable, staging and dying tasks are no targets, pods are ended as pods:
//!     `an_app_that_may_not_be_hit_is_left_out_with_its_reason`, `a_task_that_may_not_be_hit_is_never_drawn_and_is_named`,
//!     `tasks_of_apps_and_instances_of_one_pod_are_orders_and_nothing_mixed_is`.
//! 17. Big lists from the leader, packed, one at a time: `credentials_do_not_leave_tls_and_the_leader_comes_first`,
//!     `lists_are_asked_for_packed_and_read_so`, `big_lists_are_read_one_at_a_time`.

mod asks;
mod auth;
mod changes;
mod client;
mod convert;
mod dcos;
mod decode;
mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzz;
mod pods;
#[cfg(test)]
mod pretend;
mod probe;
#[cfg(test)]
mod recorded;
#[cfg(any(test, feature = "fuzzing"))]
mod reference;
mod tls;
mod wire;

pub use auth::{Auth, Provider};
pub use client::{Client, Options, SetupError};
pub use dcos::ServiceAccount;
pub use events::{News, follow};
pub use tls::TlsFiles;

use crate::model::ids::AppId;
use crate::model::snapshot::{App, Gap, Snapshot};
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook, Permit, Query};

#[async_trait::async_trait]
impl Cluster for Client {
    async fn look(&self, queries: &[Query]) -> Snapshot {
        self.look_at_all(queries).await
    }

    async fn look_at(&self, app: &AppId) -> Result<Option<App>, Gap> {
        self.look_at_one(app).await
    }

    async fn ping(&self) -> Result<(), String> {
        self.answers().await
    }

    async fn relist(&self, query: &Query) -> Result<usize, String> {
        self.list_once(query).await
    }

    async fn kill(&self, order: &KillOrder, permit: &Permit, last_look: &dyn LastLook) -> KillAnswer {
        match changes::belongs(&order.intent, permit.step()) {
            Ok(()) => changes::send_once(self, order, last_look).await,
            Err(why) => KillAnswer::NotSent { why },
        }
    }
}
