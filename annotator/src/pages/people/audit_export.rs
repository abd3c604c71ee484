//! The audit log as a file: CSV for spreadsheets, JSON Lines for programs; written while it is read.

use crate::{
    pages::people::{audit::AuditQuery, audit_words},
    people::{
        audit::{self, AuditAction, AuditSubject},
        audit_log::{self, AuditFilter, AuditLine},
        person_name::PersonName,
    },
    web::{
        access::{Admin, Manager},
        error::AppError,
        format,
        i18n::Language,
        page::Page,
        typed::TypedQuery,
    },
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web::{Bytes, Data, Path},
};
use async_stream::try_stream;
use entity::{ids::AccountId, project};
use futures_util::Stream;
use sea_orm::{DatabaseConnection, EntityTrait};
use serde::Deserialize;
use serde_json::json;

/// Lines read at once.
const READ: u64 = 500;

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditFormat {
    Csv,
    Jsonl,
}

#[derive(Deserialize)]
pub struct AuditFormatPath {
    format: AuditFormat,
}

/// What is written, by whom.
struct AuditExport {
    db: DatabaseConnection,
    language: Language,
    format: AuditFormat,
    filter: AuditFilter,
}

impl AuditExport {
    /// Its line comes first; HEAD takes nothing away.
    async fn answer(self, by: AccountId, method: &Method) -> Result<HttpResponse, AppError> {
        if let Some(id) = self.filter.project {
            let named = project::Entity::find_by_id(id).one(&self.db).await?;
            named.ok_or(AppError::NotFound)?;
        }
        if method == Method::GET {
            let subject = match self.filter.project {
                Some(project) => AuditSubject::project(project),
                None => AuditSubject::of_all(by),
            };
            audit::record_alone(&self.db, by, AuditAction::AuditExport, subject, json!({})).await?;
        }
        let (kind, name) = match self.format {
            AuditFormat::Csv => ("text/csv; charset=utf-8", "audit.csv"),
            AuditFormat::Jsonl => ("application/x-ndjson", "audit.jsonl"),
        };
        Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, kind))
            .insert_header((
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{name}\""),
            ))
            .streaming(self.lines()))
    }

    fn lines(self) -> impl Stream<Item = anyhow::Result<Bytes>> {
        try_stream! {
            if matches!(self.format, AuditFormat::Csv) {
                yield csv_row(COLUMNS)?;
            }
            let mut before = None;
            loop {
                let lines = audit_log::lines(&self.db, &self.filter, before, READ).await?;
                let Some(last) = lines.last().map(|line| line.id) else { break };
                let mut piece = Vec::new();
                for line in &lines {
                    piece.extend_from_slice(&self.row(line)?);
                }
                yield Bytes::from(piece);
                before = Some(last);
            }
        }
    }

    fn row(&self, line: &AuditLine) -> anyhow::Result<Bytes> {
        let at = format::date_time_to_the_second(line.at);
        let who = line.who.as_ref().map_or("", PersonName::stored);
        let said = audit_words::said(self.language, line);
        let subject = audit_words::subject_to_keep(self.language, line);
        let project = line.project.as_ref().map_or("", |(_, name)| name);
        match self.format {
            AuditFormat::Csv => {
                let details = line.details.to_string();
                let (code, id) = (line.code.as_str(), line.subject_id.as_str());
                csv_row([&at, who, code, &said, &subject, id, project, &details])
            }
            AuditFormat::Jsonl => {
                let row = json!({
                    "time": at, "who": line.who.as_ref().map(PersonName::stored), "action": line.code, "said": said,
                    "subject": subject, "subject_id": line.subject_id, "project": project,
                    "details": line.details,
                });
                Ok(Bytes::from(format!("{row}\n")))
            }
        }
    }
}

const COLUMNS: [&str; 8] =
    ["time", "who", "action", "said", "subject", "subject_id", "project", "details"];

/// A spreadsheet must not take what somebody typed for a formula.
fn csv_row<'a>(cells: [&'a str; 8]) -> anyhow::Result<Bytes> {
    let harmless = |cell: &'a str| {
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if is_formula { format!("'{cell}") } else { cell.to_owned() }
    };
    let mut row = csv::Writer::from_writer(Vec::new());
    row.write_record(cells.map(harmless))?;
    Ok(Bytes::from(row.into_inner()?))
}

pub async fn all(
    request: HttpRequest,
    page: Page,
    Admin(me): Admin,
    path: Path<AuditFormatPath>,
    query: TypedQuery<AuditQuery>,
    db: Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let (db, language) = (db.get_ref().clone(), page.language);
    let export = AuditExport { db, language, format: path.format, filter: query.filter(None)? };
    export.answer(me.id, request.method()).await
}

pub async fn of_project(
    request: HttpRequest,
    page: Page,
    Manager(access): Manager,
    path: Path<AuditFormatPath>,
    query: TypedQuery<AuditQuery>,
    db: Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let filter = query.filter(Some(access.project.id))?;
    let (db, language) = (db.get_ref().clone(), page.language);
    let export = AuditExport { db, language, format: path.format, filter };
    export.answer(access.account.id, request.method()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_keeps_its_commas() {
        let row = csv_row(["=1+1", "a,b", "say \"so\"", "+7", "@me", "-1", "plain", "{}"]).unwrap();
        let text = String::from_utf8(row.to_vec()).unwrap();
        assert_eq!(text, "'=1+1,\"a,b\",\"say \"\"so\"\"\",'+7,'@me,'-1,plain,{}\n");
    }
}
