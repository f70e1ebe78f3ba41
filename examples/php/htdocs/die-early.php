<?php
// Dies before it said anything.
exec('kill -9 ' . getmypid());
