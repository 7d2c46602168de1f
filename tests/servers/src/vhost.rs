//! The `RabbitMQ` that the tests were given, and its management API.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

/// A virtual host for one test, deleted at its end.
pub struct Vhost {
    name: String,
    queue: Url,
    admin: Url,
}

impl Vhost {
    /// With a name that no other has.
    pub fn new() -> Self {
        Self::on(given("TEST_QUEUE_URL"), given("TEST_QUEUE_ADMIN_URL"))
    }

    /// On this broker, with a name that no other has.
    pub(crate) fn on(queue: Url, admin: Url) -> Self {
        let vhost = Self {
            name: format!("test-{}", Uuid::now_v7()),
            queue,
            admin,
        };
        vhost.put(&format!("vhosts/{}", vhost.name), &json!({}));
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        vhost.put(
            &format!("permissions/{}/{}", vhost.name, vhost.admin.username()),
            &all,
        );
        vhost
    }

    /// As the management API knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Straight to the broker.
    pub fn url(&self) -> String {
        self.url_by(self.address())
    }

    /// Through something that listens at this address.
    pub fn url_by(&self, address: impl std::fmt::Display) -> String {
        let (user, password) = (self.queue.username(), self.queue.password().unwrap_or_default());
        format!("amqp://{user}:{password}@{address}/{}", self.name)
    }

    /// Where the broker listens.
    pub fn address(&self) -> String {
        let host = self.queue.host_str().unwrap();
        format!("{host}:{}", self.queue.port().unwrap_or(5672))
    }

    /// Puts something into the management API, below `/api/`.
    pub fn put(&self, path: &str, body: &Value) {
        let (status, body) = self.request("PUT", path, &body.to_string());
        assert!((200..300).contains(&status), "PUT {path}: {status} {body}");
    }

    /// What the management API has there, below `/api/`; `None` where there is nothing.
    pub fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.request("GET", path, "");
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Deletes by the management API, below `/api/`; whether there was something.
    pub fn delete(&self, path: &str) -> bool {
        (200..300).contains(&self.request("DELETE", path, "").0)
    }

    /// Closes all connections of this virtual host that the broker knows of, and counts them.
    pub fn close_connections(&self) -> usize {
        let connections = self.get(&format!("vhosts/{}/connections", self.name));
        let connections = connections.unwrap_or_default();
        let names = connections.as_array().into_iter().flatten();
        let names = names.filter_map(|connection| connection["name"].as_str());
        names
            .filter(|name| {
                let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
                self.delete(&format!("connections/{}", name.replace('+', "%20")))
            })
            .count()
    }

    fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        request(&self.admin, method, path, body)
    }
}

/// Asks a management API; the status of the answer, and its body.
pub(crate) fn request(admin: &Url, method: &str, path: &str, body: &str) -> (u16, String) {
    let host = admin.host_str().unwrap();
    let port = admin.port_or_known_default().unwrap();
    let mut stream = TcpStream::connect((host, port)).unwrap();
    let password = admin.password().unwrap_or_default();
    let login = BASE64_STANDARD.encode(format!("{}:{password}", admin.username()));
    write!(
        stream,
        "{method} /api/{path} HTTP/1.0\r\nhost: {host}\r\nauthorization: Basic {login}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

impl Default for Vhost {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.delete(&format!("vhosts/{}", self.name));
    }
}

fn given(variable: &str) -> Url {
    let value = std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "there is no RabbitMQ to test with: run ./test, or set TEST_QUEUE_URL and TEST_QUEUE_ADMIN_URL to what \
             `tests/servers/rabbitmq start DIR` prints"
        )
    });
    value.parse().unwrap()
}
