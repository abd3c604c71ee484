//! `/admin/audit` and `/projects/{project}/audit`: who did what, for administrators and, of their
//! project, for its managers; the same as a file.

use crate::{
    pages::people::audit_words,
    people::{
        audit::AuditAction,
        audit_log::{self, AuditFilter, AuditLine},
        members,
        person_name::PersonName,
    },
    web::{
        access::{Access, Admin, Manager},
        address,
        error::AppError,
        format,
        page::{self, Page},
        typed::TypedQuery,
    },
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    account,
    ids::{AccountId, AuditLogId, ProjectId},
    project,
    time::UnixMillis,
};
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use serde::Deserialize;
use std::str::FromStr;

/// Lines on a page.
const SHOWN: u64 = 100;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// What is asked for, as typed; empty fields ask for everything.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    person: String,
    project: String,
    action: String,
    /// Days, UTC; both count.
    from: String,
    until: String,
    /// The oldest line that was shown.
    before: String,
}

/// What names nothing is not there; an empty field asks for everything.
fn chosen<T: FromStr>(typed: &str) -> Result<Option<T>, AppError> {
    match typed {
        "" => Ok(None),
        typed => typed.parse().map(Some).map_err(|_| AppError::NotFound),
    }
}

/// The beginning of a day.
fn day(typed: &str) -> Result<Option<UnixMillis>, AppError> {
    if typed.is_empty() {
        return Ok(None);
    }
    format::day(typed).map(Some).ok_or_else(|| AppError::bad_request("audit-day-wrong"))
}

impl AuditQuery {
    pub fn filter(&self, within: Option<ProjectId>) -> Result<AuditFilter, AppError> {
        let action = match self.action.as_str() {
            "" => None,
            code => Some(AuditAction::of(code).ok_or(AppError::NotFound)?),
        };
        Ok(AuditFilter {
            person: chosen::<AccountId>(&self.person)?,
            project: match within {
                Some(project) => Some(project),
                None => chosen(&self.project)?,
            },
            action,
            from: day(&self.from)?,
            until: day(&self.until)?.map(|day| UnixMillis(day.0 + DAY_MS)),
        })
    }

    /// The same question as a query string.
    fn as_query(&self, before: Option<AuditLogId>) -> String {
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let fields = [
            ("person", &self.person),
            ("project", &self.project),
            ("action", &self.action),
            ("from", &self.from),
            ("until", &self.until),
            ("before", &before),
        ];
        let asked = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let asked: Vec<_> =
            asked.map(|(name, value)| format!("{name}={}", address::query_value(value))).collect();
        asked.join("&")
    }
}

#[derive(Template)]
#[template(path = "admin/audit/list.html")]
struct AuditPage {
    page: Page,
    shown: ShownAudit,
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct ProjectAuditPage {
    page: Page,
    access: Access,
    shown: ShownAudit,
}

/// What both pages show.
struct ShownAudit {
    /// Their address.
    address: String,
    query: AuditQuery,
    lines: Vec<AuditLine>,
    /// Where older lines are.
    older: Option<String>,
    people: Vec<account::Model>,
    /// To choose from; none in a project.
    projects: Vec<project::Model>,
    /// Whether the reader may open runs and models.
    is_engineer: bool,
}

impl ShownAudit {
    async fn new(
        db: &DatabaseConnection,
        query: AuditQuery,
        access: Option<&Access>,
    ) -> Result<Self, AppError> {
        let filter = query.filter(access.map(|access| access.project.id))?;
        let before = chosen::<AuditLogId>(&query.before)?;
        let mut lines = audit_log::lines(db, &filter, before, SHOWN + 1).await?;
        let has_more = lines.len() as u64 > SHOWN;
        lines.truncate(SHOWN as usize);
        let last = lines.last().filter(|_| has_more).map(|line| line.id);
        let (people, projects) = match access {
            Some(access) => {
                let members = members::of_project(db, access.project.id).await?;
                (members.into_iter().map(|member| member.account).collect(), Vec::new())
            }
            None => (
                account::Entity::find().order_by_asc(account::Column::DisplayName).all(db).await?,
                project::Entity::find().order_by_asc(project::Column::Name).all(db).await?,
            ),
        };
        let address = match access {
            Some(access) => access.url("/audit"),
            None => address::address("/admin/audit"),
        };
        let older = last.map(|id| format!("{address}?{}", query.as_query(Some(id))));
        let is_engineer = access.is_none_or(Access::is_engineer);
        Ok(Self { address, query, lines, older, people, projects, is_engineer })
    }

    fn actions(&self) -> &'static [AuditAction] {
        AuditAction::ALL
    }

    fn label(&self, page: &Page, action: &AuditAction) -> String {
        audit_words::label(page.language, *action)
    }

    fn said(&self, page: &Page, line: &AuditLine) -> String {
        audit_words::said(page.language, line)
    }

    fn subject(&self, page: &Page, line: &AuditLine) -> String {
        audit_words::subject(page.language, line)
    }

    fn name(&self, page: &Page, person: &account::Model) -> String {
        PersonName::of(person).shown(page.language)
    }

    /// The page of what it was done to, if there is one for this reader.
    fn link(&self, line: &AuditLine) -> Option<String> {
        audit_words::link(line, self.is_engineer)
    }

    fn export(&self, format: &str) -> String {
        format!("{}/export/{format}?{}", self.address, self.query.as_query(None))
    }
}

pub async fn show(
    page: Page,
    _: Admin,
    query: TypedQuery<AuditQuery>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let shown = ShownAudit::new(&db, query.into_inner(), None).await?;
    page::html(&AuditPage { page, shown })
}

pub async fn show_project(
    page: Page,
    Manager(access): Manager,
    query: TypedQuery<AuditQuery>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let shown = ShownAudit::new(&db, query.into_inner(), Some(&access)).await?;
    page::html(&ProjectAuditPage { page, access, shown })
}
