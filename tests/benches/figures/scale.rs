//! Whether it stays as fast, and as small, with many ended sagas in the log.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{
    CountSagasRequest, GetSagaRequest, ListSagasRequest, ListSagasResponse, ListStuckRequest,
    SagaState, operator_service_client::OperatorServiceClient,
    saga_service_client::SagaServiceClient,
};
use saga_tests::postgres::Cluster;
use sqlx::{Connection as _, PgConnection};
use tonic::transport::Channel;

use super::{
    fill::{self, Template, Templates},
    load::{self, at_part, micros_since},
    options::{Options, progress},
    participant, processes,
    program::{Program, new_log},
    report::{Figure, Metric},
    stored_bytes,
};

/// How long one question is asked again and again.
const ENOUGH: Duration = Duration::from_secs(2);

/// Sagas that need a person, in every log.
const STUCK: usize = 200;

const LATENCIES: [Metric; 2] = [Metric::leading("p50 ms"), Metric::leading("p99 ms")];

const SIZES: [Metric; 3] = [
    Metric::leading("resident MB"),
    Metric::leading("log bytes/saga"),
    Metric::further("filled sagas/s"),
];

/// A log that is filled more and more.
struct Subject<'b> {
    database: &'static str,
    log: String,
    folder: &'b Path,
    templates: &'b Templates,
    ended: usize,
}

pub(crate) async fn measure(options: &Options) -> Vec<Figure> {
    let title = "Scale: latency of calls, one after the other, by ended sagas in the log";
    let mut latencies = Figure::new("scale", title, &LATENCIES, &[]);
    let title = "Scale: memory of the orchestrator and size of its log, by ended sagas in it";
    let mut sizes = Figure::new("scale-size", title, &SIZES, &[]);
    let ended: &[usize] = options.pick(&[10_000, 100_000, 1_000_000], &[1_000, 10_000]);
    progress("building the program");
    Program::binary();
    let templates = Templates::make().await;
    let cluster = Cluster::start();
    for database in ["sqlite", "postgres"] {
        let folder = tempfile::tempdir().unwrap();
        let log = new_log(database, folder.path(), &cluster, "scale");
        let mut subject =
            Subject { database, log, folder: folder.path(), templates: &templates, ended: 0 };
        for &ended in ended {
            let filled = subject.fill_up_to(ended).await;
            let bytes = subject.log_bytes().await / ended as f64;
            let resident_mb = subject.look(options, &mut latencies).await;
            sizes.add(&ended.to_string(), database, &[resident_mb, bytes, filled]);
        }
    }
    latencies.note(format!(
        "5 % of the ended sagas are compensated; {STUCK} more are stuck. Lists are of 50. Start \
         is answered when the saga is durable. List by definition: one that no saga has. Every saga has a label of its own."
    ));
    vec![latencies, sizes]
}

impl Subject<'_> {
    /// Adds ended sagas. Returns how many were written in a second.
    async fn fill_up_to(&mut self, ended: usize) -> f64 {
        progress(&format!("{}: filling up to {ended} ended sagas", self.database));
        let store = fill::open(&self.log).await;
        self.templates.define(&*store).await;
        let mut mix: Vec<&Template> = vec![&self.templates.completed; 19];
        mix.push(&self.templates.compensated);
        let started = Instant::now();
        if self.ended == 0 {
            fill::fill(&*store, &[&self.templates.stuck()], "stuck-", 0, STUCK).await;
        }
        let missing = ended - self.ended;
        fill::fill(&*store, &mix, "ended-", self.ended, missing).await;
        self.ended = ended;
        let rate = missing as f64 / started.elapsed().as_secs_f64();
        drop(store);
        if self.database == "postgres" {
            // What autovacuum does in a log that grew as slowly as logs do.
            stored_bytes::run(&self.log, "/* settle */ vacuum analyze").await;
            stored_bytes::run(&self.log, "/* settle */ checkpoint").await;
        }
        rate
    }

    async fn log_bytes(&self) -> f64 {
        if self.database == "sqlite" {
            return stored_bytes::sqlite_bytes(&self.log).await;
        }
        let mut connection = PgConnection::connect(&self.log).await.unwrap();
        stored_bytes::database_bytes(&mut connection).await
    }

    /// Asks everything many times. Returns the memory that it took.
    async fn look(&self, options: &Options, figure: &mut Figure) -> f64 {
        let participant = participant::serve().await;
        let mut program = Program::configure(self.folder, &self.log, participant, "");
        program.start();
        let channel = load::channels(program.address, 1).await.remove(0);
        let mut asked = Asked {
            sagas: SagaServiceClient::new(channel.clone()),
            operator: OperatorServiceClient::new(channel),
            ended: self.ended,
        };
        let group = format!("{} {}", self.database, self.ended);
        let times = options.pick(400, 100);
        for round in 0..options.rounds as usize {
            for ask in Ask::ALL {
                let (mut latencies_us, began) = (Vec::new(), Instant::now());
                for turn in round * times..(round + 1) * times {
                    if ENOUGH < began.elapsed() {
                        break;
                    }
                    let sent = Instant::now();
                    asked.ask(ask, turn).await;
                    latencies_us.push(micros_since(sent));
                }
                let sample = [at_part(&mut latencies_us, 0.5), at_part(&mut latencies_us, 0.99)];
                figure.add(&group, ask.name(), &sample);
            }
        }
        processes::resident_mb(program.id())
    }
}

#[derive(Clone, Copy)]
enum Ask {
    Start,
    Get,
    ListAll,
    ListState,
    ListDefinition,
    ListLabel,
    ListSought,
    Count,
    ListStuck,
}

impl Ask {
    const ALL: [Self; 9] = [
        Self::Start,
        Self::Get,
        Self::ListAll,
        Self::ListState,
        Self::ListDefinition,
        Self::ListLabel,
        Self::ListSought,
        Self::Count,
        Self::ListStuck,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Get => "Get",
            Self::ListAll => "List",
            Self::ListState => "List by state",
            Self::ListDefinition => "List by definition",
            Self::ListLabel => "List by label",
            Self::ListSought => "List by what no index holds",
            Self::Count => "Count by label",
            Self::ListStuck => "ListStuck",
        }
    }
}

struct Asked {
    sagas: SagaServiceClient<Channel>,
    operator: OperatorServiceClient<Channel>,
    ended: usize,
}

impl Asked {
    async fn ask(&mut self, ask: Ask, turn: usize) {
        match ask {
            Ask::Start => {
                let request = load::start_request().1;
                self.sagas.start_saga(request).await.unwrap();
            }
            Ask::Get => {
                let name = Some(load::name(self.somewhere(turn)));
                self.sagas.get_saga(GetSagaRequest { name }).await.unwrap();
            }
            Ask::ListAll => assert_eq!(self.list(SagaState::Unspecified, "").await, 50),
            Ask::ListState => assert_eq!(self.list(SagaState::Compensated, "").await, 50),
            Ask::ListDefinition => {
                assert_eq!(self.list(SagaState::Unspecified, "of-no-saga").await, 0);
            }
            Ask::ListLabel => {
                let filter = format!("labels.customer == 'of-{}'", self.somewhere(turn));
                assert_eq!(self.find(filter).await.sagas.len(), 1);
            }
            // One saga in twenty turned back, so the newest hundreds have a page.
            Ask::ListSought => {
                let filter = "turned_back == 'STEP_REJECTED' && ended".to_owned();
                assert_eq!(self.find(filter).await.sagas.len(), 50);
            }
            Ask::Count => {
                let filter = format!("labels.customer == 'of-{}'", self.somewhere(turn));
                let request = CountSagasRequest { filter, ..CountSagasRequest::default() };
                let count = self.sagas.count_sagas(request).await.unwrap().into_inner();
                assert_eq!((count.sagas, count.next_page_token.as_str()), (1, ""));
            }
            Ask::ListStuck => {
                let request = ListStuckRequest::default();
                let stuck = self.operator.list_stuck(request).await.unwrap().into_inner();
                assert_eq!(stuck.total, STUCK as u64);
            }
        }
    }

    /// The key of an ended saga: far apart, so that each is somewhere else in the log.
    fn somewhere(&self, turn: usize) -> String {
        format!("ended-{}", turn.wrapping_mul(7_919) % self.ended)
    }

    async fn find(&mut self, filter: String) -> ListSagasResponse {
        let request = ListSagasRequest { page_size: 50, filter, ..ListSagasRequest::default() };
        self.sagas.list_sagas(request).await.unwrap().into_inner()
    }

    async fn list(&mut self, state: SagaState, definition: &str) -> usize {
        let request = ListSagasRequest {
            page_size: 50,
            state: state.into(),
            definition: definition.to_owned(),
            ..ListSagasRequest::default()
        };
        self.sagas.list_sagas(request).await.unwrap().into_inner().sagas.len()
    }
}
