# `slipway`, the last and so the default, is api, worker, flower and migrate: the command tells which, and so is its
# health checked (docker-compose.yml). `harbour` is the stand-ins for the upstreams, and the demo.
FROM python:3.13.16-slim-bookworm AS base
LABEL org.opencontainers.image.title="Slipway" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 slipway \
    && useradd --uid 10001 --gid slipway --no-create-home --home-dir /tmp --shell /usr/sbin/nologin slipway
WORKDIR /srv/slipway
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes -r requirements.txt \
    && pip uninstall --yes --root-user-action=ignore pip
COPY server server
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp

FROM base AS harbour
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=slipway --mode=700 /var/lib/harbour
COPY harbour harbour
COPY slipway slipway
COPY stack stack
# Whatever the umask of whoever made the clone was: COPY keeps the modes of files.
RUN chmod -R u=rwX,go=rX .
USER 10001:10001
VOLUME /var/lib/harbour
EXPOSE 18080-18084
CMD ["python", "-m", "harbour", "--root", "/var/lib/harbour", "--host", "0.0.0.0", "--port-base", "18080"]

FROM base AS slipway
COPY api api
COPY worker worker
COPY common common
COPY console/static console/static
COPY gunicorn.conf.py .
RUN chmod -R u=rwX,go=rX . && python -m compileall -q .
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "api:create_app()", "--bind", "0.0.0.0:8000"]
