//! Recordings from servers on loopback that behave, and from those that do not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use callrail::client::{
    Client, ClientOptions, Credential, RecordingError, RecordingFile, RecordingFiles, RecordingLink,
};
use callrail::{AccountId, CallId};
use serde_json::json;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SOUND: &[u8] = b"RIFF, and what else there is in a sound";

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

fn files(hosts: &[&str]) -> RecordingFiles {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let hosts = hosts.iter().map(|url| host(url)).collect();
    RecordingFiles::new(hosts, reqwest::Client::builder().no_proxy()).unwrap()
}

/// The link as CallRail's API gives it.
async fn link(url: &str) -> RecordingLink {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let api = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "url": url })))
        .mount(&api)
        .await;
    let options = ClientOptions {
        http: reqwest::Client::builder().no_proxy(),
        ..ClientOptions::default()
    };
    let client = Client::new(
        api.uri().parse().unwrap(),
        AccountId::parse("ACCdef0b17f603245ef8336f6e3e3dcd43c").unwrap(),
        Credential::api_key("0123456789abcdef").unwrap(),
        options,
    );
    let call = CallId::parse("CAL01a1fa577dac70f6b1ca1ddba8db3bcf").unwrap();
    client.unwrap().recording(&call).await.unwrap().unwrap()
}

async fn whole(mut file: RecordingFile) -> Result<Vec<u8>, RecordingError> {
    let mut sound = Vec::new();
    while let Some(piece) = file.chunk().await? {
        sound.extend_from_slice(&piece);
    }
    Ok(sound)
}

fn sound() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(SOUND, "audio/mpeg")
}

/// A server that answers one request with these bytes, and closes the connection.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4_096];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_link_is_followed_to_the_sound_and_no_key_goes_along() {
    let (first, second) = (MockServer::start().await, MockServer::start().await);
    Mock::given(path("/redirect"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", format!("{}/file", second.uri())))
        .mount(&first)
        .await;
    Mock::given(path("/file"))
        .respond_with(|request: &Request| match request.headers.get("range") {
            Some(range) if range == "bytes=0-3" => {
                ResponseTemplate::new(206).set_body_raw(&SOUND[..4], "audio/mpeg")
            }
            _ => sound(),
        })
        .mount(&second)
        .await;
    let files = files(&[&first.uri(), &second.uri()]);
    let link = link(&format!("{}/redirect", first.uri())).await;

    let file = files.fetch(&link, None).await.unwrap();
    assert_eq!(
        (file.status().as_u16(), file.content_type(), file.content_length()),
        (200, Some("audio/mpeg"), Some(SOUND.len() as u64))
    );
    assert!(file.says_where_it_ends());
    assert_eq!(whole(file).await.unwrap(), SOUND);
    let part = files.fetch(&link, Some("bytes=0-3")).await.unwrap();
    assert_eq!(part.status().as_u16(), 206);
    assert_eq!(whole(part).await.unwrap(), &SOUND[..4]);

    for server in [first, second] {
        for request in server.received_requests().await.unwrap() {
            assert!(!request.headers.contains_key("authorization"));
        }
    }
}

#[tokio::test]
async fn no_other_host_is_asked_by_link_or_redirect() {
    let (ours, other) = (MockServer::start().await, MockServer::start().await);
    Mock::given(any()).respond_with(sound()).mount(&other).await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(302).insert_header("location", other.uri()))
        .mount(&ours)
        .await;
    let files = files(&[&ours.uri()]);
    for url in [ours.uri(), other.uri()] {
        let failed = files.fetch(&link(&url).await, None).await.unwrap_err();
        assert!(
            matches!(&failed, RecordingError::ForeignHost { host: Some(host) } if host == "127.0.0.1"),
            "{failed:?}"
        );
    }
    assert_eq!(other.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_no_recording_is_told_apart() {
    let page = ResponseTemplate::new(200).set_body_raw("<html>", "text/html");
    let round = ResponseTemplate::new(302).insert_header("location", "/");
    for (answer, expected) in [
        (page, "what is at the recording's link is no recording"),
        (
            ResponseTemplate::new(404),
            "the server of the recording does not have it any more",
        ),
        (
            ResponseTemplate::new(410),
            "the server of the recording does not have it any more",
        ),
        (
            ResponseTemplate::new(403),
            "the server of the recording answered 403",
        ),
        (
            ResponseTemplate::new(500),
            "the server of the recording answered 500",
        ),
        (
            ResponseTemplate::new(302),
            "the recording is said to be elsewhere, and is not found there",
        ),
        (
            round,
            "the recording is said to be elsewhere, and is not found there",
        ),
    ] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let files = files(&[&server.uri()]);
        let failed = files.fetch(&link(&server.uri()).await, None).await.unwrap_err();
        assert_eq!(failed.to_string(), expected);
    }
}

#[tokio::test]
async fn a_recording_that_is_cut_short_is_an_error_wherever_that_can_be_told() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n";
    for (rest, is_certain, is_cut) in [
        ("content-length: 9\r\n\r\nRIFF", true, true),
        ("transfer-encoding: chunked\r\n\r\n4\r\nRIFF\r\n", true, true),
        (
            "transfer-encoding: chunked\r\n\r\n4\r\nRIFF\r\n0\r\n\r\n",
            true,
            false,
        ),
        ("connection: close\r\n\r\nRIFF", false, false),
    ] {
        let url = answering(Box::leak(format!("{HEAD}{rest}").into_boxed_str()));
        let files = files(&[&url]);
        let file = files.fetch(&link(&url).await, None).await.unwrap();
        assert_eq!(file.says_where_it_ends(), is_certain, "{rest:?}");
        let read = whole(file).await;
        assert_eq!(
            matches!(read, Err(RecordingError::CutShort(_))),
            is_cut,
            "{rest:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_told_without_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let link = link(&format!("{url}/?access_key=hush")).await;
    let failed = files(&[&url]).fetch(&link, None).await.unwrap_err();
    assert!(matches!(failed, RecordingError::NoAnswer(_)));
    assert!(!format!("{failed:?} {link:?}").contains("hush"));
}
