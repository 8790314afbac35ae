//! nginx with nchan, over WebSocket (<https://nchan.io>): one process, and messages kept as fanwire keeps them by default.
//!
//! A connection is one channel for good, to publish to or to listen to; nchan answers each publication with a message that
//! says how many are held, which is the acknowledgement.

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::Opening;
use crate::server::{Configured, Cores, Server};
use crate::wire::websocket::{TEXT, client_frame};
use crate::wire::{Decoder, Frames, Masked, Template, Vocabulary};

/// The number of messages that fanwire keeps of a topic without a rule.
const HELD: u64 = 100;

/// Starts nginx with nchan and speaks its protocol.
#[derive(Debug)]
pub(crate) struct Nchan;

impl Driver for Nchan {
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        Configured {
            program: &programs.nginx,
            arguments: &["-e", "stderr", "-c"],
            configuration: &configuration,
            ready: "RLIMIT_NOFILE",
        }
        .start(cores)
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        match patterns {
            [topic] if !topic.contains(['*', '>']) => {
                let decoder = Decoder::Frames(Frames::new(Vocabulary::Bare));
                Ok(Opening::new(decoder).upgrade(host, &format!("/sub/{topic}"), None))
            }
            _ => Err(BenchError::LeftOut("nchan knows no patterns".into())),
        }
    }

    fn replay(&self, _host: &str, _topic: &str) -> Result<Opening, BenchError> {
        Err(BenchError::LeftOut("what nchan gives to those who come later is not measured".into()))
    }

    fn publisher(&self, host: &str, alone_in: Option<&str>) -> Result<Opening, BenchError> {
        let topic = alone_in.ok_or_else(|| {
            BenchError::LeftOut("a connection that publishes to nchan does so to one channel for good".into())
        })?;
        let decoder = Decoder::Frames(Frames::new(Vocabulary::Acknowledgements));
        Ok(Opening::new(decoder).upgrade(host, &format!("/pub/{topic}"), None))
    }

    fn publication(&self, _topic: &str, payload: &str) -> Template {
        Template::new(payload.as_bytes(), client_frame(TEXT, payload.as_bytes()), Masked::Yes)
    }
}

fn configuration(port: u16, directory: &str) -> String {
    format!(
        "daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr notice;
worker_rlimit_nofile 65536;
load_module modules/ngx_nchan_module.so;
events {{ worker_connections 65536; }}
http {{
    access_log off; nchan_shared_memory_size 1024M;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ ^/sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1; }}
        location ~ ^/pub/(.+)$ {{
            nchan_publisher websocket; nchan_channel_id $1;
            nchan_message_buffer_length {HELD}; nchan_message_timeout 2m;
        }}
    }}
}}
"
    )
}
