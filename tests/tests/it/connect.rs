//! `trunkline connect`: from a key to calls that arrive, without losing one, however often it is run.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use callrail::WebhookKind;
use callrail_simulator::{ApiOptions, RequestKind, SimulatedAccount, SimulatedApi};
use chrono::{TimeDelta, Utc};
use serde_json::{Map, json};
use trunkline_tests::{Installation, SIGNING_KEY, Told};

/// An account in CallRail, and an installation that knows only where CallRail is.
struct Office {
    trunkline: Installation,
    account: Arc<SimulatedAccount>,
    callrail: SimulatedApi,
}

impl Office {
    fn new(options: ApiOptions) -> Self {
        let account = Arc::new(SimulatedAccount::generate(
            7,
            12,
            Utc::now() - TimeDelta::hours(2),
        ));
        let callrail = SimulatedApi::start(Arc::clone(&account), options).unwrap();
        let trunkline = Installation::new()
            .without("CALLRAIL_SIGNING_KEYS")
            .with("CALLRAIL_API_URL", callrail.base_url())
            .with("RECONCILE", "off");
        Self {
            trunkline,
            account,
            callrail,
        }
    }

    /// Runs the command with these lines as its input.
    async fn connect(&self, arguments: &[&str], input: &str) -> Told {
        let typed = self.trunkline.folder().join("typed");
        fs::write(&typed, input).unwrap();
        let mut command = self.trunkline.command(&[&["connect"], arguments].concat());
        let output = command.stdin(File::open(typed).unwrap()).output().await.unwrap();
        let told = Told {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in [&self.account.api_key, &self.account.signing_key] {
            let shown = [&told.out, &told.err];
            assert!(!shown.iter().any(|text| text.contains(secret)), "{told:?}");
        }
        told
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.trunkline.folder().join("trunkline.toml")).unwrap_or_default()
    }

    fn address(&self, kind: WebhookKind) -> String {
        self.trunkline.url(&format!("/api/webhooks/callrail/{kind}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_account_is_connected_with_nothing_but_its_key() {
    let office = Office::new(ApiOptions::default());
    let account = &office.account;
    let url = office.trunkline.url("");
    let key = format!("{}\n", account.api_key);

    let first = office.connect(&["--url", &url, "--yes"], &key).await;
    assert_eq!(first.code, 1, "{first:?}");
    assert!(
        first.out.contains("Nothing answers there: start `trunkline run`"),
        "{first:?}"
    );
    assert_eq!(
        office.settings(),
        format!(
            "callrail_api_key = \"{}\"\ncallrail_account_id = \"{}\"\ncallrail_company_id = \"{2}\"\n\
             callrail_signing_keys = \"{2}:{3}\"\n",
            account.api_key, account.account_id, account.company_id, account.signing_key
        )
    );
    let file = office.trunkline.folder().join("trunkline.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        office.callrail.webhook_config(),
        Some(Map::new()),
        "the integration is made, so that there is a key, and sends nothing"
    );

    let running = office.trunkline.start("run").await;
    let second = office.connect(&["--url", &url, "--yes"], "").await;
    assert_eq!(second.code, 0, "{second:?}");
    for kind in WebhookKind::ALL {
        assert_eq!(office.callrail.webhook_addresses(kind), [office.address(kind)]);
    }
    let calls = office.callrail.visible_calls();
    for call in &calls {
        assert!(office.trunkline.row(call).await.is_some(), "{call}");
    }

    let written = office.callrail.requests(RequestKind::IntegrationWrite);
    let before = (office.settings(), office.callrail.webhook_config());
    let third = office.connect(&["--yes"], "").await;
    assert_eq!(third.code, 0, "{third:?}");
    assert!(third.out.contains(" already."), "{third:?}");
    assert!(third.out.contains("were imported before"), "{third:?}");
    assert_eq!((office.settings(), office.callrail.webhook_config()), before);
    assert_eq!(office.callrail.requests(RequestKind::IntegrationWrite), written);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_written_before_the_running_program_knows_the_key_and_others_keep_theirs() {
    let others = json!({
        "post_call_webhook": ["https://other.example.com/hook"],
        "sms_sent_webhook": ["https://other.example.com/sms"],
    });
    let office = Office::new(ApiOptions {
        webhook_config: others.as_object().cloned(),
        ..ApiOptions::default()
    });
    let account = &office.account;
    let kept = format!("# ours\ncallrail_signing_keys = \"{SIGNING_KEY}\" # the old office\n");
    fs::write(office.trunkline.folder().join("trunkline.toml"), &kept).unwrap();
    let running = office.trunkline.start("run").await;
    let input = format!("{}\n{}\n", account.api_key, office.trunkline.url(""));

    let first = office.connect(&["--no-import"], &input).await;
    assert_eq!(first.code, 1, "{first:?}");
    assert!(
        first
            .out
            .contains("does not know the company's signing key: restart it"),
        "{first:?}"
    );
    assert_eq!(office.callrail.webhook_config().as_ref(), others.as_object());
    let added = format!(
        "# ours\ncallrail_signing_keys = \"{SIGNING_KEY},{}:{}\" # the old office\n",
        account.company_id, account.signing_key
    );
    assert!(office.settings().starts_with(&added), "{}", office.settings());

    running.terminate().await;
    let running = office.trunkline.start("run").await;
    let url = office.trunkline.url("");
    let second = office.connect(&["--no-import", "--url", &url], "").await;
    assert_eq!(second.code, 0, "{second:?}");
    assert!(
        second.out.contains("`trunkline import --days-back 180`"),
        "{second:?}"
    );
    let config = office.callrail.webhook_config().unwrap();
    assert_eq!(
        config["post_call_webhook"],
        json!([
            "https://other.example.com/hook",
            office.address(WebhookKind::PostCall)
        ])
    );
    assert_eq!(config["sms_sent_webhook"], others["sms_sent_webhook"]);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_callrail_forbids_it_the_steps_by_hand_are_told() {
    let office = Office::new(ApiOptions {
        forbids_writes: true,
        ..ApiOptions::default()
    });
    let key = format!("{}\n", office.account.api_key);
    let told = office
        .connect(&["--yes", "--url", "https://yourdomain.com"], &key)
        .await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.out.contains("2. Copy the signing key"), "{told:?}");
    for kind in WebhookKind::ALL {
        let line = format!("https://yourdomain.com/api/webhooks/callrail/{kind}\n");
        assert!(told.out.contains(&line), "{kind}: {told:?}");
    }
    assert!(office.settings().contains(&office.account.account_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_with_a_wrong_key_or_without_an_answer() {
    let office = Office::new(ApiOptions::default());
    let wrong = office
        .connect(&["--yes", "--url", "https://yourdomain.com"], "wrong\n")
        .await;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(
        wrong.err.contains("CallRail does not accept the key"),
        "{wrong:?}"
    );

    let nothing = office.connect(&[], "").await;
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(nothing.err.contains("or set CALLRAIL_API_KEY"), "{nothing:?}");

    let key = format!("{}\n", office.account.api_key);
    let no_url = office.connect(&["--yes"], &key).await;
    assert_eq!(no_url.code, 1, "{no_url:?}");
    assert!(no_url.err.contains("Answer with --url"), "{no_url:?}");

    let no_tls = office
        .connect(&["--yes", "--url", "http://yourdomain.com"], &key)
        .await;
    assert!(no_tls.err.contains("must begin with https://"), "{no_tls:?}");
    assert_eq!(office.settings(), "");
    assert_eq!(office.callrail.requests(RequestKind::IntegrationWrite), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_sets_stays_there_and_is_named_where_it_must_be_changed() {
    let mut office = Office::new(ApiOptions::default());
    office.trunkline = office
        .trunkline
        .with("CALLRAIL_API_KEY", &office.account.api_key)
        .with("CALLRAIL_SIGNING_KEYS", SIGNING_KEY);
    let url = office.trunkline.url("");
    let told = office.connect(&["--yes", "--url", &url], "").await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err
            .contains("CALLRAIL_SIGNING_KEYS is set in the environment"),
        "{told:?}"
    );
    let settings = office.settings();
    assert!(!settings.contains("key"), "{settings}");
    assert_eq!(office.callrail.webhook_config(), Some(Map::new()));

    office.trunkline = office.trunkline.with("CALLRAIL_ACCOUNT_ID", "ACC1");
    let other = office
        .connect(&["--yes", "--url", &url, "--account", "ACC2"], "")
        .await;
    assert!(
        other.err.contains("CALLRAIL_ACCOUNT_ID is ACC1 already"),
        "{other:?}"
    );
}
