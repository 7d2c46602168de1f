//! A database of one test on the `PostgreSQL` that the tests were given.

use std::fmt::Display;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use uuid::Uuid;

/// A table that nobody else reads or writes until the value is dropped.
pub struct LockedTable {
    _connection: PgConnection,
}

/// An empty database, deleted when the value is dropped.
pub struct Database {
    name: String,
}

impl Database {
    /// With a name that no other has.
    pub fn empty() -> Self {
        Self::made_of("template0")
    }

    /// A copy of another, to which nobody may be connected, with a name that no other has.
    pub fn copy_of(other: &Self) -> Self {
        Self::made_of(&other.name)
    }

    fn made_of(template: &str) -> Self {
        let name = format!("trunkline_test_{}", Uuid::now_v7().simple());
        let sql = format!("create database {name} template {template} encoding 'UTF8'");
        admin().unwrap().batch_execute(&sql).unwrap();
        Self { name }
    }

    /// As the server knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection as somebody else opens it.
    pub fn connection(&self) -> PgConnection {
        PgConnection::establish(&self.url()).unwrap()
    }

    /// Locks a table, as somebody does who rebuilds it.
    pub fn lock(&self, table: &str) -> LockedTable {
        let mut connection = self.connection();
        let sql = format!("begin; lock table {table} in access exclusive mode");
        connection.batch_execute(&sql).unwrap();
        LockedTable {
            _connection: connection,
        }
    }

    /// Runs `alter database` from outside of it: new connections are as it says.
    pub fn alter(&self, change: &str) {
        let sql = format!("alter database {} {change}", self.name);
        admin().unwrap().batch_execute(&sql).unwrap();
    }

    /// Runs a statement on the server, in no database of a test: whether it was taken.
    pub fn run_on_server(sql: &str) -> bool {
        admin().is_ok_and(|mut admin| admin.batch_execute(sql).is_ok())
    }

    /// Straight to the server, as a superuser.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// Through something that listens at this address.
    pub fn url_by(&self, address: impl Display) -> String {
        self.url()
            .replace(&format!("@{}/", Self::address()), &format!("@{address}/"))
    }

    /// Where the server listens.
    pub fn address() -> String {
        let given = given();
        let (_, behind_user) = given.split_once('@').expect("TEST_DATABASE_URL names a user");
        behind_user
            .split_once('/')
            .expect("TEST_DATABASE_URL names a database")
            .0
            .to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Whoever is still connected is thrown out.
        if let Ok(mut admin) = admin() {
            let _ = admin.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}

fn admin() -> diesel::ConnectionResult<PgConnection> {
    // Whoever connects first decides how OpenSSL ends, and here that is the test: see crates/store/src/postgres/pool.rs.
    openssl_sys::init();
    PgConnection::establish(&url("postgres"))
}

/// The address of a superuser in the database of that name.
fn url(database: &str) -> String {
    let given = given();
    let (place, settings) = given.split_once('?').unwrap_or((&given, ""));
    let (server, _) = place
        .rsplit_once('/')
        .expect("TEST_DATABASE_URL names a database");
    match settings {
        "" => format!("{server}/{database}"),
        settings => format!("{server}/{database}?{settings}"),
    }
}

fn given() -> String {
    std::env::var("TEST_DATABASE_URL")
        .expect("run ./test, or set TEST_DATABASE_URL to the address of a PostgreSQL superuser")
}
