//! Real proxies from the distribution, each with the configuration that `deploy/proxies/` offers, in front of a broker.

use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fanwire_tests::{Broker, Certificate, Events, PATIENCE, WebSocket, eventually};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::json;

/// A proxy on a free port. Dropping it stops it.
struct Proxy {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

/// A proxy that is about to be started: its folder, its port, and what is written into its configuration.
struct Plan {
    address: SocketAddr,
    directory: PathBuf,
    /// The configuration that is offered, with the places of this test.
    text: String,
}

impl Plan {
    /// Reads the example of this name and puts `places` into it; each must be there.
    fn new(certificate: &Certificate, name: &str, places: &[(&str, &dyn Fn(SocketAddr) -> String)]) -> Self {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/proxies")).join(name);
        let mut text = std::fs::read_to_string(path).expect("it is there");
        // No other process takes the port in the moment between: the kernel chose it.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        for (what, by) in places {
            assert!(text.contains(what), "deploy/proxies/{name} has {what}");
            text = text.replace(what, &by(address));
        }
        let directory = certificate.path().with_file_name("proxy");
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        Self { address, directory, text }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// Starts `program`, which `.ci/test-tools` has fetched or installed, and waits until it listens.
    fn start(self, program: &str, arguments: &[&str]) -> Proxy {
        let fetched = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../build/tools")).join(program);
        let installed = Path::new("/usr/sbin").join(program);
        let program = [fetched, installed].into_iter().find(|path| path.exists()).unwrap_or(program.into());
        let mut child = Command::new(&program)
            .args(arguments)
            .env("HOME", &self.directory)
            .current_dir(&self.directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}, which .ci/test-tools brings: {error}", program.display()));
        eventually("the proxy listens", || {
            let ended = child.try_wait().expect("the proxy is our child");
            assert!(ended.is_none(), "{} ended: {ended:?}", program.display());
            TcpStream::connect(self.address).ok()
        });
        Proxy { child, address: self.address, directory: self.directory }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // SIGKILL would leave its workers behind.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _stopped = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _reaped = self.child.wait();
        let _left_behind = std::fs::remove_dir_all(&self.directory);
    }
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

fn nginx(broker: &Broker, certificate: &Certificate) -> Proxy {
    let plan = Plan::new(
        certificate,
        "nginx.conf",
        &[
            ("127.0.0.1:7400", &|_| broker.address().to_string()),
            ("listen 443", &|address| format!("listen {address}")),
            ("/etc/ssl/chat.example/fullchain.pem", &|_| text_of(&certificate.path()).to_owned()),
            ("/etc/ssl/chat.example/privkey.pem", &|_| text_of(&certificate.key_path()).to_owned()),
        ],
    );
    let here = plan.directory.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name};"))
        .join(" ");
    let whole = format!(
        "daemon off; pid {here}/pid; error_log {here}/error.log; events {{}}\nhttp {{ access_log off; {paths}\n{}}}\n",
        plan.text
    );
    let configuration = plan.write("nginx.conf", &whole);
    let folder = plan.directory.clone();
    plan.start("nginx", &["-e", "stderr", "-p", text_of(&folder), "-c", text_of(&configuration)])
}

fn apache(broker: &Broker, certificate: &Certificate) -> Proxy {
    let plan = Plan::new(
        certificate,
        "apache.conf",
        &[
            ("127.0.0.1:7400", &|_| broker.address().to_string()),
            ("<VirtualHost *:443>", &|address| format!("<VirtualHost {address}>")),
            ("/etc/ssl/chat.example/fullchain.pem", &|_| text_of(&certificate.path()).to_owned()),
            ("/etc/ssl/chat.example/privkey.pem", &|_| text_of(&certificate.key_path()).to_owned()),
        ],
    );
    let modules = [
        ("mpm_event", "mpm_event"),
        ("authz_core", "authz_core"),
        ("socache_shmcb", "socache_shmcb"),
        ("ssl", "ssl"),
        ("proxy", "proxy"),
        ("proxy_http", "proxy_http"),
    ];
    let load = modules
        .map(|(name, file)| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{file}.so\n"))
        .concat();
    let here = plan.directory.display();
    let whole = format!(
        "ServerRoot {here}\nServerName localhost\nDefaultRuntimeDir {here}\nPidFile {here}/pid\n\
         ErrorLog {here}/error.log\nMutex file:{here}\nListen {}\n{load}{}",
        plan.address, plan.text
    );
    let configuration = plan.write("apache.conf", &whole);
    plan.start("apache2", &["-D", "FOREGROUND", "-f", text_of(&configuration)])
}

fn haproxy(broker: &Broker, certificate: &Certificate) -> Proxy {
    let both = certificate.path().with_file_name("both.pem");
    let pem = [certificate.path(), certificate.key_path()]
        .map(|path| std::fs::read_to_string(path).expect("it is there"))
        .concat();
    std::fs::write(&both, pem).expect("a file can be written");
    let plan = Plan::new(
        certificate,
        "haproxy.cfg",
        &[
            ("127.0.0.1:7400", &|_| broker.address().to_string()),
            ("bind :443", &|address| format!("bind {address}")),
            ("/etc/haproxy/chat.example.pem", &|_| text_of(&both).to_owned()),
        ],
    );
    let configuration = plan.write("haproxy.cfg", &plan.text);
    plan.start("haproxy", &["-db", "-f", text_of(&configuration)])
}

fn caddy(broker: &Broker, certificate: &Certificate) -> Proxy {
    let plan = Plan::new(
        certificate,
        "Caddyfile",
        &[
            ("127.0.0.1:7400", &|_| broker.address().to_string()),
            ("chat.example {\n", &|address| {
                let (own, key) = (certificate.path(), certificate.key_path());
                let tls = format!("\ttls {} {}\n", text_of(&own), text_of(&key));
                format!(":{} {{\n\tbind 127.0.0.1\n{tls}", address.port())
            }),
        ],
    );
    // The test needs no second port, neither for redirects nor for changes while it runs.
    let whole =
        format!("{{\n\tadmin off\n\tauto_https disable_redirects\n\tgrace_period 1s\n}}\n{}", plan.text);
    let configuration = plan.write("Caddyfile", &whole);
    plan.start("caddy", &["run", "--adapter", "caddyfile", "--config", text_of(&configuration)])
}

/// HAProxy names the client in a header of the PROXY protocol.
const PROXY_PROTOCOL: &[&str] = &["proxy.protocol=v1v2"];

#[test]
fn behind_nginx_every_transport_works_and_clients_are_told_apart() {
    check_transports(nginx, &[]);
}

#[test]
fn behind_apache_every_transport_works_and_clients_are_told_apart() {
    check_transports(apache, &[]);
}

#[test]
fn behind_haproxy_every_transport_works_and_clients_are_told_apart() {
    check_transports(haproxy, PROXY_PROTOCOL);
}

#[test]
fn behind_caddy_every_transport_works_and_clients_are_told_apart() {
    check_transports(caddy, &[]);
}

#[test]
fn behind_every_proxy_a_long_poll_waits_and_a_page_of_a_foreign_origin_is_refused() {
    check_polls_and_origins(nginx, &[]);
    check_polls_and_origins(apache, &[]);
    check_polls_and_origins(haproxy, PROXY_PROTOCOL);
    check_polls_and_origins(caddy, &[]);
}

/// Connects to `address` from an address of its own in 127.0.0.0/8.
fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let descriptor = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let source: SocketAddrV4 = format!("{source}:0").parse().expect("an address");
    bind(&descriptor, &source).expect("all of 127.0.0.0/8 is ours");
    connect(&descriptor, &address).expect("a server listens");
    let stream = TcpStream::from(descriptor);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream
}

/// Every transport works through the proxy, at once and not in heaps, and the broker knows its clients from one another.
fn check_transports(start: fn(&Broker, &Certificate) -> Proxy, settings: &[&str]) {
    let certificate = Certificate::new();
    let own = ["proxy.trusted=127.0.0.1", "limits.connections_per_address_max=3"];
    let broker = Broker::with(&own.iter().chain(settings).copied().collect::<Vec<_>>());
    let proxy = start(&broker, &certificate);
    let from = |source: &str| certificate.connect_over(connect_from(source, proxy.address));
    let open = |source: &str, path: &str| WebSocket::try_open_over(from(source), "localhost", path, "");

    let mut socket = open("127.0.0.2", "/ws").expect("WebSockets are let through");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}));
    assert_eq!(reply["type"], "subscribed");
    let mut bare = open("127.0.0.2", "/topics/a").expect("bare ones too");
    let mut events = Events::try_open_over(from("127.0.0.2"), "/topics/a", "").expect("event streams too");
    // Each event arrives while the stream is open, so nothing in between waits for more.
    for number in 0..3 {
        let text = format!("number {number}");
        let mut http = from("127.0.0.3");
        let request = format!(
            "POST /topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        http.send(request.as_bytes());
        assert_eq!(http.read().status, 200);
        assert_eq!(events.next_data(), text);
        assert_eq!(bare.read().payload, text.as_bytes());
        assert_eq!(socket.read_json()["data"], text);
    }
    // Three sessions are open from 127.0.0.2; the proxy itself is at 127.0.0.1, and has many connections.
    let refused = open("127.0.0.2", "/ws").err().expect("no fourth");
    refused.check_problem(503, "limit_exceeded");
    let posing = "X-Forwarded-For: 203.0.113.9\r\n";
    let refused = WebSocket::try_open_over(from("127.0.0.2"), "localhost", "/ws", posing);
    let refused = refused.err().expect("not under a name of its own choice either");
    refused.check_problem(503, "limit_exceeded");
    assert!(open("127.0.0.4", "/ws").is_ok(), "another client is served");
}

/// A long poll is given its time, and the broker sees the host that the page asked for.
fn check_polls_and_origins(start: fn(&Broker, &Certificate) -> Proxy, settings: &[&str]) {
    let certificate = Certificate::new();
    let broker =
        Broker::with(&["proxy.trusted=127.0.0.1"].iter().chain(settings).copied().collect::<Vec<_>>());
    let proxy = start(&broker, &certificate);
    let ask = |path: &str, headers: &str| {
        let mut http = certificate.connect(proxy.address);
        http.send(
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n{headers}\r\n", proxy.address.port())
                .as_bytes(),
        );
        http.read()
    };
    assert_eq!(ask("/topics/a?wait=1", "").json()["messages"], json!([]));
    assert_eq!(
        ask("/topics/a", &format!("Origin: https://localhost:{}\r\n", proxy.address.port())).status,
        200
    );
    ask("/topics/a", "Origin: https://evil.example\r\n").check_problem(403, "forbidden");
    ask("/ws", "Origin: https://evil.example\r\n").check_problem(403, "forbidden");
}
