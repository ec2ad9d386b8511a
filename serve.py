"""The dashboard with link previews: `streamlit run serve.py` in place of app.py, for a server that people send links from."""

import streamlit as st
from starlette.middleware import Middleware

from ui.link_preview import LinkPreview

app = st.App("app.py", middleware=[Middleware(LinkPreview)])
