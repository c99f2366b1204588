from batchimg.batch_values import job_id, job_number

RUN = "images-0123456789"


def test_the_jobs_of_a_run_are_numbered():
    assert [job_id(RUN, number) for number in (1, 2, 10)] == [RUN, f"{RUN}-2", f"{RUN}-10"]
    assert [job_number(RUN, job_id(RUN, number)) for number in (1, 2, 10)] == [1, 2, 10]


def test_a_job_of_another_run_has_no_number():
    assert [job_number(RUN, job) for job in (f"{RUN}x", f"{RUN}-a", "images-0123456788", f"{RUN}-", "x")] == [None] * 5
