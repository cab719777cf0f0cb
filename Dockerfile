# One image for api, worker, flower and migrate; the command tells which.
FROM python:3.13-slim-bookworm

RUN useradd --system --uid 10001 --home-dir /srv/slipway slipway
WORKDIR /srv/slipway
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY api api
COPY worker worker
COPY common common
COPY server server
COPY gunicorn.conf.py .
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER slipway
EXPOSE 8000
CMD ["gunicorn", "api:create_app()", "--bind", "0.0.0.0:8000"]
