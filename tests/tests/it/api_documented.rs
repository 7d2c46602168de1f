//! The `curl` lines of the documentation that people have, as they stand there.

use callrail_simulator::ApiOptions;
use chrono::{TimeZone, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use trunkline_tests::Answer;

use crate::api::{Api, code};

const TEST_CONNECTION: &str = r#"
curl -X GET http://localhost:8001/api/integrations/callrail/test-connection \
  -H "Authorization: Bearer {your_jwt_token}"
"#;

const IMPORT_30_DAYS: &str = r#"
curl -X POST http://localhost:8001/api/integrations/callrail/import-calls \
  -H "Authorization: Bearer {your_jwt_token}" \
  -H "Content-Type: application/json" \
  -d '{
    "days_back": 30
  }'
"#;

const IMPORT_RANGE: &str = r#"
curl -X POST http://localhost:8001/api/integrations/callrail/import-calls \
  -H "Authorization: Bearer {your_jwt_token}" \
  -H "Content-Type: application/json" \
  -d '{
    "start_date": "2025-09-01T00:00:00Z",
    "end_date": "2025-10-01T00:00:00Z"
  }'
"#;

const SETUP_WEBHOOK: &str = r#"
curl -X POST http://localhost:8001/api/integrations/callrail/setup-webhook \
  -H "Authorization: Bearer {your_jwt_token}" \
  -H "Content-Type: application/json" \
  -d '{
    "webhook_url": "https://yourdomain.com/api/webhooks/callrail/post-call"
  }'
"#;

const STATUS: &str = r#"
curl -X GET http://localhost:8001/api/integrations/callrail/status \
  -H "Authorization: Bearer {your_jwt_token}"
"#;

const TEST_WEBHOOK: &str = r#"
curl -X POST http://localhost:8001/api/webhooks/test \
  -H "Content-Type: application/json" \
  -d '{"test": "data"}'
"#;

const TEST_ADDRESS: &str = "curl https://yourdomain.com/api/webhooks/test";

const TEST_CREDENTIALS: &str = r#"
curl -H "Authorization: Token token=YOUR_API_KEY" \
  "https://api.callrail.com/v3/a/YOUR_ACCOUNT_ID/calls.json?per_page=1"
"#;

impl Api {
    /// Sends what `curl` would send, to where the addresses and names of the documentation stand for.
    async fn curl(&self, line: &str) -> Answer {
        let line = line
            .replace("http://localhost:8001", &self.trunkline.url(""))
            .replace(
                "https://yourdomain.com/api/webhooks/test",
                &self.trunkline.url("/api/webhooks/test"),
            )
            .replace("https://api.callrail.com/v3", &self.callrail.base_url())
            .replace("{your_jwt_token}", &self.token)
            .replace("YOUR_API_KEY", &self.account.api_key)
            .replace("YOUR_ACCOUNT_ID", &self.account.account_id);
        let words = words(&line);
        let mut words = words.iter().map(String::as_str);
        assert_eq!(words.next(), Some("curl"));
        let (mut method, mut url, mut headers, mut body) = (None, None, Vec::new(), None);
        while let Some(word) = words.next() {
            match word {
                "-X" => method = words.next(),
                "-H" => headers.extend(words.next().and_then(|header| header.split_once(": "))),
                "-d" => body = words.next(),
                _ => url = Some(word),
            }
        }
        let method = method.map_or(Method::GET, |method| method.parse().unwrap());
        let mut request = self.trunkline.client().request(method, url.unwrap());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.trunkline
            .send(request.body(body.unwrap_or_default().to_owned()))
            .await
    }
}

/// The words of a command, as a shell takes it apart.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.replace("\\\n", " ").chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_line_is_answered_as_documented() {
    let options = ApiOptions {
        webhook_config: Some(serde_json::Map::new()),
        ..ApiOptions::default()
    };
    let api = Api::start_with(options, |trunkline, _| trunkline).await;
    let answered = async |line: &str| {
        let answer = api.curl(line).await;
        assert_eq!(answer.status, StatusCode::OK, "{line}: {answer:?}");
        answer.json()
    };
    assert_eq!(
        answered(TEST_CONNECTION).await,
        json!({"status": "success", "message": "CallRail API connection successful"})
    );
    let calls = api.callrail.visible_calls().len();
    let imported = |calls: usize| {
        json!({
            "status": "success",
            "message": format!("Imported {calls} calls"),
            "processed": calls,
            "failed": 0,
            "total_calls": calls
        })
    };
    assert_eq!(answered(IMPORT_30_DAYS).await, imported(calls));
    if Utc::now() < Utc.with_ymd_and_hms(2027, 9, 30, 0, 0, 0).unwrap() {
        assert_eq!(answered(IMPORT_RANGE).await, imported(0));
    } else {
        // CallRail keeps calls for 25 months.
        assert_eq!(code(&api.curl(IMPORT_RANGE).await), "invalid_range");
    }

    let mut set_up = answered(SETUP_WEBHOOK).await;
    assert!(set_up["integration"]["id"].take().is_u64());
    assert_eq!(
        set_up,
        json!({
            "status": "success",
            "message": "Webhook configured successfully",
            "integration": {
                "id": null,
                "type": "Webhooks",
                "state": "active",
                "signing_key": api.account.signing_key
            }
        })
    );
    let status = answered(STATUS).await;
    assert_eq!(status["status"], "success");
    assert_eq!(
        status["integration"],
        json!({
            "name": "CallRail",
            "configured": true,
            "connected": true,
            "error": null,
            "features": {
                "call_import": true,
                "webhook_support": true,
                "recording_download": true,
                "real_time_alerts": true
            }
        })
    );
    for line in [TEST_WEBHOOK, TEST_ADDRESS] {
        assert!(answered(line).await["status"].is_string());
    }
    let calls = answered(TEST_CREDENTIALS).await;
    assert_eq!(calls["calls"].as_array().map(Vec::len), Some(1));
    assert_ne!(calls["total_records"], Value::Null);
}
