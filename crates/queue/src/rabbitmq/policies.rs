//! What policies of the broker would do to our queues behind our back. Only its management API tells.

use serde::Deserialize;
use serde_json::Value;

use super::consumer::RENEW_AFTER;
use super::topology::is_retry_name;
use crate::message::QueueName;

/// The limit of `RabbitMQ` 4 where no policy sets another. Versions before have none.
const FIRST_WITH_A_LIMIT: u32 = 4;

/// What is found of the policies that hold for our queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// What would cost messages, one sentence each, with what to do.
    pub harms: Vec<String>,
    /// Of our queues those whose length nothing limits: the broker's disk does.
    pub without_limit: Vec<String>,
    /// Of our queues those of which it is not told yet: the broker does it some seconds after they were made.
    pub untold: Vec<String>,
}

/// A queue, as `/api/queues/VHOST` tells of it.
#[derive(Deserialize)]
struct Told {
    name: String,
    #[serde(default)]
    arguments: Value,
    /// Missing where it is not told yet. Where there is no policy, some versions give an empty list.
    effective_policy_definition: Option<Value>,
    #[serde(default)]
    policy: Value,
    #[serde(default)]
    operator_policy: Value,
}

impl Policies {
    /// Reads what the management API tells of the queues of our virtual host (`/api/queues/VHOST`) and of its own version
    /// (`rabbitmq_version` in `/api/overview`). Queues of others do not matter.
    pub fn read(queues: Value, version: &str) -> Result<Self, serde_json::Error> {
        let queues: Vec<Told> = serde_json::from_value(queues)?;
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        let has_a_limit = major.is_none_or(|major: u32| major >= FIRST_WITH_A_LIMIT);
        let ours = queues.iter().filter(|queue| queue.is_ours());
        let (mut harms, mut without_limit, mut untold) = (Vec::new(), Vec::new(), Vec::new());
        for queue in ours {
            if queue.effective_policy_definition.is_none() {
                untold.push(queue.name.clone());
                continue;
            }
            harms.extend(queue.harms(has_a_limit));
            if !queue.has("max-length-bytes")
                && !queue.has("max-length")
                && queue.name != QueueName::Dead.as_str()
            {
                without_limit.push(queue.name.clone());
            }
        }
        Ok(Self {
            harms,
            without_limit,
            untold,
        })
    }
}

impl Told {
    fn is_ours(&self) -> bool {
        self.is_retry() || self.name.parse::<QueueName>().is_ok()
    }

    fn is_retry(&self) -> bool {
        is_retry_name(&self.name)
    }

    /// What the policies set, of which there may be one of the operator beside the user's.
    fn set(&self, key: &str) -> Option<&Value> {
        self.effective_policy_definition.as_ref()?.as_object()?.get(key)
    }

    fn has(&self, key: &str) -> bool {
        self.set(key).is_some()
    }

    fn harms(&self, has_a_limit: bool) -> Vec<String> {
        let Self { name, .. } = self;
        let by = self.by();
        let mut harms = Vec::new();
        let mut harm = |text: String| harms.push(text);
        if let Some(ttl) = self.set("message-ttl") {
            harm(format!(
                "{by} lets messages of {name} expire after {ttl} ms, worked on or not: take message-ttl out of it"
            ));
        }
        if let Some(expires) = self.set("expires") {
            harm(format!(
                "{by} deletes {name}, and all in it, when nobody has used it for {expires} ms: take expires out of it"
            ));
        }
        if (self.has("max-length") || self.has("max-length-bytes"))
            && self.overflow() != Some("reject-publish")
        {
            harm(format!(
                "{by} drops the oldest messages of {name} when it is long: set overflow to reject-publish in it, as in \
                 deploy/rabbitmq/definitions.json"
            ));
        }
        harms.extend(self.harm_of_the_limit(has_a_limit));
        harms
    }

    /// A message that came back more often than the limit says becomes a dead letter, but one of `dead` is gone. What comes
    /// back often is given back by us as a new one in time, if the limit leaves us the time.
    fn harm_of_the_limit(&self, has_a_limit: bool) -> Option<String> {
        let Self { name, .. } = self;
        if self.is_retry() {
            return None;
        }
        let is_dead = *name == QueueName::Dead.as_str();
        let by = self.by();
        match self
            .set("delivery-limit")
            .map(|limit| limit.as_i64().unwrap_or(0))
        {
            None if is_dead && has_a_limit => Some(format!(
                "RabbitMQ drops a message of {name} that came back 20 times, and behind it there is no other queue: give \
                 the broker deploy/rabbitmq/definitions.json, which sets delivery-limit to -1 for it"
            )),
            Some(limit) if limit < 0 && !has_a_limit => Some(format!(
                "{by} sets delivery-limit to {limit} for {name}, which this version of RabbitMQ takes for none at all: take \
                 it out"
            )),
            Some(limit) if limit >= 0 && is_dead => Some(format!(
                "{by} lets RabbitMQ drop a message of {name} that came back {limit} times, and behind it there is no other \
                 queue: set delivery-limit to -1 in it, or below RabbitMQ 4 take it out"
            )),
            Some(limit) if (0..=i64::try_from(RENEW_AFTER).unwrap_or(i64::MAX)).contains(&limit) => {
                Some(format!(
                    "{by} makes a dead letter of a message of {name} that an outage gave back {limit} times: set delivery-limit \
                 to 20 or more in it"
                ))
            }
            _ => None,
        }
    }

    /// Arguments of a queue win over policies.
    fn overflow(&self) -> Option<&str> {
        let by_argument = self
            .arguments
            .as_object()
            .and_then(|arguments| arguments.get("x-overflow"));
        by_argument.or_else(|| self.set("overflow"))?.as_str()
    }

    /// Who has set it.
    fn by(&self) -> String {
        let named = |kind, policy: &Value| policy.as_str().map(|name| format!("the {kind} {name}"));
        let policies = [
            named("policy", &self.policy),
            named("operator policy", &self.operator_policy),
        ];
        let policies: Vec<String> = policies.into_iter().flatten().collect();
        policies.join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn harms(version: &str, name: &str, policy: &Value) -> Vec<String> {
        let queue = json!({
            "name": name,
            "arguments": {"x-queue-type": "quorum"},
            "policy": "mine",
            "operator_policy": null,
            "effective_policy_definition": policy,
        });
        Policies::read(json!([queue]), version).unwrap().harms
    }

    #[test]
    fn a_dead_letter_must_be_allowed_to_come_back_for_ever() {
        assert_eq!(harms("4.0.5", "dead", &json!({"delivery-limit": -1})), [""; 0]);
        assert_eq!(
            harms("4.3.0", "dead", &json!([])).len(),
            1,
            "as old versions write that there is none"
        );
        assert_eq!(harms("4.0.5", "dead", &json!({"delivery-limit": 100})).len(), 1);
        assert_eq!(harms("3.10.8", "dead", &json!({})), [""; 0]);
        assert_eq!(harms("3.13.0", "dead", &json!({"delivery-limit": -1})).len(), 1);
        assert_eq!(harms("3.13.0", "dead", &json!({"delivery-limit": 5})).len(), 1);
    }

    #[test]
    fn other_messages_must_outlive_an_outage() {
        for name in ["calls.live", "alerts"] {
            assert_eq!(harms("4.0.5", name, &json!({})), [""; 0]);
            assert_eq!(harms("4.0.5", name, &json!({"delivery-limit": 20})), [""; 0]);
            assert_eq!(harms("4.0.5", name, &json!({"delivery-limit": 10})).len(), 1);
            assert_eq!(harms("3.10.8", name, &json!({"delivery-limit": 0})).len(), 1);
        }
        assert_eq!(harms("4.0.5", "retry.1s", &json!({"delivery-limit": 0})), [""; 0]);
    }

    #[test]
    fn whatever_drops_messages_is_named_with_its_policy() {
        for (policy, word) in [
            (json!({"message-ttl": 1_000}), "expire after 1000 ms"),
            (json!({"expires": 60_000}), "deletes retry.1m"),
            (json!({"max-length": 10}), "oldest messages"),
            (
                json!({"max-length-bytes": 10, "overflow": "drop-head"}),
                "oldest messages",
            ),
        ] {
            let harms = harms("4.0.5", "retry.1m", &policy);
            assert_eq!(harms.len(), 1, "{harms:?}");
            assert!(
                harms[0].starts_with("the policy mine ") && harms[0].contains(word),
                "{harms:?}"
            );
        }
        let refusing = json!({"max-length": 10, "overflow": "reject-publish"});
        assert_eq!(harms("4.0.5", "calls.live", &refusing), [""; 0]);
    }

    #[test]
    fn an_argument_of_the_queue_wins_over_a_policy() {
        let queue = json!([{
            "name": "calls.live",
            "arguments": {"x-overflow": "reject-publish"},
            "operator_policy": "theirs",
            "effective_policy_definition": {"max-length": 10, "overflow": "drop-head"},
        }]);
        assert_eq!(Policies::read(queue, "4.0.5").unwrap().harms, [""; 0]);
    }

    #[test]
    fn queues_of_others_do_not_matter_and_ours_without_a_limit_are_told() {
        let queues = json!([
            {"name": "orders", "effective_policy_definition": {"message-ttl": 1}},
            {"name": "calls.live", "effective_policy_definition": {}},
            {"name": "alerts", "effective_policy_definition": {"max-length-bytes": 10, "overflow": "reject-publish"}},
            {"name": "dead", "policy": "any"},
        ]);
        let policies = Policies::read(queues, "3.13.7").unwrap();
        assert_eq!(policies.harms, [""; 0]);
        assert_eq!(policies.without_limit, ["calls.live"]);
        assert_eq!(policies.untold, ["dead"]);
    }
}
