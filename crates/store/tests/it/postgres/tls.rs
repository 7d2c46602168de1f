//! TLS as libpq does it: the certificate is checked when the address says so.

use store::{DatabaseUrl, Store};

use super::{Postgres, told, with_setting};
use crate::samples::{apply, at, post_call};
use crate::suite::Database;

/// Who signed the certificate of the server for tests; it names `localhost`.
fn authority() -> String {
    std::env::var("TEST_DATABASE_CA").expect(
        "run ./test, or set TEST_DATABASE_CA to the file of the authority of TEST_DATABASE_URL's server",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_checked_opens_an_encrypted_connection() {
    let database = Postgres::fresh().await;
    let checked = format!("sslmode=verify-full&sslrootcert={}", authority());
    let url: DatabaseUrl = with_setting(&database.empty.url(), &checked).parse().unwrap();

    let store = Store::connect(&url).await.unwrap();
    apply(&store, [post_call(1)], at(201)).await;

    let plain = "select count(*)::text from pg_stat_ssl join pg_stat_activity using (pid)
                 where application_name = 'trunkline' and datname = current_database() and ssl";
    let encrypted: usize = database.text(plain).await.unwrap().parse().unwrap();
    assert!(encrypted > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_host_is_not_taken() {
    let database = Postgres::fresh().await;
    let checked = format!("sslmode=verify-full&sslrootcert={}", authority());
    let elsewhere = database.empty.url().replace("@localhost", "@127.0.0.1");
    let url: DatabaseUrl = with_setting(&elsewhere, &checked).parse().unwrap();

    let error = Store::connect(&url).await.err().unwrap();

    assert!(error.is_outside());
    assert!(told(&error).contains("certificate"), "{}", told(&error));
}
